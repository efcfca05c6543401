import type { LoadProgress } from '../../engine/engine.ts';

/** One step of a load: phase, bytes and speed. */
export class AutoglmProgressEvent extends Event {
  static readonly type = 'autoglm-progress';
  readonly progress: LoadProgress;

  constructor(progress: LoadProgress) {
    super(AutoglmProgressEvent.type, { bubbles: true, composed: true });
    this.progress = progress;
  }
}

declare global {
  interface GlobalEventHandlersEventMap {
    'autoglm-progress': AutoglmProgressEvent;
  }
}
