import type { EngineInfo } from '../../engine/engine.ts';

/** The model is loaded and answers. */
export class AutoglmReadyEvent extends Event {
  static readonly type = 'autoglm-ready';
  readonly info: EngineInfo;

  constructor(info: EngineInfo) {
    super(AutoglmReadyEvent.type, { bubbles: true, composed: true });
    this.info = info;
  }
}

declare global {
  interface GlobalEventHandlersEventMap {
    'autoglm-ready': AutoglmReadyEvent;
  }
}
