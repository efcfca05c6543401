import type { ReactiveController, ReactiveControllerHost } from 'lit';

/** Nearer than this to the end counts as the end. */
const NEAR_PX = 48;

/** Keeps a growing list at its end, until the user scrolls up; returns there when they scroll back down. */
export class StickToBottomController implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #find: () => HTMLElement | null;
  readonly #observer: ResizeObserver;
  #scroller: HTMLElement | null = null;
  #isStuck = true;
  #lastTop = 0;

  /** @param find the element that scrolls; its first child is what grows. */
  constructor(host: ReactiveControllerHost, find: () => HTMLElement | null) {
    this.#host = host;
    this.#find = find;
    this.#observer = new ResizeObserver(() => this.#follow());
    host.addController(this);
  }

  /** False once the user has scrolled up. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  hostUpdated(): void {
    const scroller = this.#find();
    if (scroller === this.#scroller) return;
    this.#release();
    this.#scroller = scroller;
    if (scroller === null) return;
    scroller.addEventListener('scroll', this.#onScroll, { passive: true });
    this.#observer.observe(scroller);
    if (scroller.firstElementChild !== null) this.#observer.observe(scroller.firstElementChild);
    this.#follow();
  }

  hostDisconnected(): void {
    this.#release();
  }

  /** Goes to the end and stays there. */
  stick(): void {
    this.#setStuck(true);
    this.#follow();
  }

  #follow(): void {
    if (!this.#isStuck || this.#scroller === null) return;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#lastTop = this.#scroller.scrollTop;
  }

  #onScroll = (): void => {
    const scroller = this.#scroller;
    if (scroller === null) return;
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    const isNear = scrollHeight - clientHeight - scrollTop < NEAR_PX;
    // Content that grew since the last frame is no sign of the user; only going up is.
    if (isNear) this.#setStuck(true);
    else if (scrollTop < this.#lastTop) this.#setStuck(false);
    this.#lastTop = scrollTop;
  };

  #setStuck(isStuck: boolean): void {
    if (this.#isStuck === isStuck) return;
    this.#isStuck = isStuck;
    this.#host.requestUpdate();
  }

  #release(): void {
    this.#observer.disconnect();
    this.#scroller?.removeEventListener('scroll', this.#onScroll);
    this.#scroller = null;
  }
}
