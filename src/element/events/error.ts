import type { AutoglmError } from '../../base/errors.ts';

/** A load or an answer failed. The element shows the fault as well. */
export class AutoglmErrorEvent extends Event {
  static readonly type = 'autoglm-error';
  readonly error: AutoglmError;

  constructor(error: AutoglmError) {
    super(AutoglmErrorEvent.type, { bubbles: true, composed: true });
    this.error = error;
  }
}

declare global {
  interface GlobalEventHandlersEventMap {
    'autoglm-error': AutoglmErrorEvent;
  }
}
