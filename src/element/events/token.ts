/** Text that was just generated; several tokens may come as one event. */
export class AutoglmTokenEvent extends Event {
  static readonly type = 'autoglm-token';
  /** Id of the turn that grows. */
  readonly turnId: string;
  /** The new piece of raw text, tags included. */
  readonly text: string;

  constructor(turnId: string, text: string) {
    super(AutoglmTokenEvent.type, { bubbles: true, composed: true });
    this.turnId = turnId;
    this.text = text;
  }
}

declare global {
  interface GlobalEventHandlersEventMap {
    'autoglm-token': AutoglmTokenEvent;
  }
}
