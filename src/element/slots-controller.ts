import type { ReactiveController, ReactiveElement } from 'lit';

/** Knows which slots the page has filled, so that a slot passed on to a part does not hide its own content. */
export class SlotsController implements ReactiveController {
  readonly #host: ReactiveElement;
  readonly #observer: MutationObserver;

  constructor(host: ReactiveElement) {
    this.#host = host;
    this.#observer = new MutationObserver(() => host.requestUpdate());
    host.addController(this);
  }

  hostConnected(): void {
    this.#observer.observe(this.#host, { childList: true });
  }

  hostDisconnected(): void {
    this.#observer.disconnect();
  }

  has(name: string): boolean {
    return [...this.#host.children].some((child) => child.slot === name);
  }
}
