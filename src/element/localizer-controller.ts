import type { ReactiveController, ReactiveElement } from 'lit';
import { createLocalizer, onStringsChange } from './strings/localizer.ts';
import type { Localizer } from './strings/localizer.ts';

/** The localizer of an element: by its `locale`, else the page's `lang`, else the browser's languages. */
export class LocalizerController implements ReactiveController {
  readonly #host: ReactiveElement & { readonly locale: string };
  #stopListening: (() => void) | null = null;
  #key = '';
  #localizer: Localizer = createLocalizer([]);

  constructor(host: ReactiveElement & { readonly locale: string }) {
    this.#host = host;
    host.addController(this);
  }

  get localizer(): Localizer {
    return this.#localizer;
  }

  hostConnected(): void {
    this.#key = '';
    this.#stopListening = onStringsChange(() => {
      this.#key = '';
      this.#host.requestUpdate();
    });
  }

  hostDisconnected(): void {
    this.#stopListening?.();
  }

  hostUpdate(): void {
    const host = this.#host;
    const pageLanguage = host.closest<HTMLElement>('[lang]')?.lang ?? '';
    const tags = [host.locale, pageLanguage, ...navigator.languages].filter((tag) => tag !== '');
    const key = tags.join(' ');
    if (key === this.#key) return;
    this.#key = key;
    this.#localizer = createLocalizer(tags);
  }
}
