import type { ReactiveController, ReactiveControllerHost } from 'lit';

/**
 * Holds a load back until the user has read what the browser is about to ask. Nothing to hold back for who has just
 * read it where the helper was linked.
 */
export class LocalPrompt implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  #answer: (() => void) | null = null;
  #isKnown = false;

  constructor(host: ReactiveControllerHost) {
    this.#host = host;
    host.addController(this);
  }

  hostConnected(): void {}

  /** True while the user is to be told. */
  get isOpen(): boolean {
    return this.#answer !== null;
  }

  /** Resolves once the user goes on. */
  readonly ask = (): Promise<void> => {
    if (this.#isKnown) return Promise.resolve();
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#host.requestUpdate();
    });
  };

  /** The user has read it. */
  readonly goOn = (): void => {
    this.#isKnown = true;
    this.#answer?.();
    this.close();
  };

  /** The load ended some other way. */
  close(): void {
    this.#answer = null;
    this.#host.requestUpdate();
  }
}
