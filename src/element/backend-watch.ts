import type { ReactiveController, ReactiveControllerHost } from 'lit';
import type { AutoglmError } from '../base/errors.ts';
import type { Engine, EngineInfo } from '../engine/engine.ts';

/** Follows an engine that can change what it runs on, and renders its element again when it does. */
export class BackendWatch implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #onChange: (info: EngineInfo) => void;
  #stop: (() => void) | undefined;
  #interruption: AutoglmError | null = null;

  constructor(host: ReactiveControllerHost, onChange: (info: EngineInfo) => void) {
    this.#host = host;
    this.#onChange = onChange;
    host.addController(this);
  }

  hostConnected(): void {}

  /** Why the engine does not answer at this moment, while another one is looked for or waited for. */
  get interruption(): AutoglmError | null {
    return this.#interruption;
  }

  use(engine: Engine | null): void {
    this.#stop?.();
    this.#interruption = null;
    this.#stop = engine?.onChange?.((change) => {
      this.#interruption = change.type === 'interrupted' ? change.fault : null;
      if (change.type === 'running') this.#onChange(change.info);
      this.#host.requestUpdate();
    });
  }
}
