import type { Turn } from '../conversation.ts';

/** A turn was added in full: the user's when it is sent, the assistant's when it is complete. */
export class AutoglmMessageEvent extends Event {
  static readonly type = 'autoglm-message';
  readonly turn: Turn;

  constructor(turn: Turn) {
    super(AutoglmMessageEvent.type, { bubbles: true, composed: true });
    this.turn = turn;
  }
}

declare global {
  interface GlobalEventHandlersEventMap {
    'autoglm-message': AutoglmMessageEvent;
  }
}
