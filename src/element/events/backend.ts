import type { EngineInfo } from '../../engine/engine.ts';

/** The engine behind the element changed; null once it is unloaded or lost. */
export class AutoglmBackendEvent extends Event {
  static readonly type = 'autoglm-backend';
  readonly info: EngineInfo | null;

  constructor(info: EngineInfo | null) {
    super(AutoglmBackendEvent.type, { bubbles: true, composed: true });
    this.info = info;
  }
}

declare global {
  interface GlobalEventHandlersEventMap {
    'autoglm-backend': AutoglmBackendEvent;
  }
}
