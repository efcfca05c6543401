import type { AgentAction } from '../../agent/parse-action.ts';

/** The answer holds an action for the phone. The element only shows it; carrying it out is the page's choice. */
export class AutoglmActionEvent extends Event {
  static readonly type = 'autoglm-action';
  /** Id of the assistant's turn. */
  readonly turnId: string;
  /** Coordinates are 0..999 of the screenshot. */
  readonly action: AgentAction;
  /** Size in pixels of the screenshot that the action refers to; null without one. */
  readonly imageSize: { readonly width: number; readonly height: number } | null;

  constructor(
    turnId: string,
    action: AgentAction,
    imageSize: { readonly width: number; readonly height: number } | null,
  ) {
    super(AutoglmActionEvent.type, { bubbles: true, composed: true });
    this.turnId = turnId;
    this.action = action;
    this.imageSize = imageSize;
  }
}

declare global {
  interface GlobalEventHandlersEventMap {
    'autoglm-action': AutoglmActionEvent;
  }
}
