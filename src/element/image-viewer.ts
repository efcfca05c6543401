import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import type { ScreenMark, ScreenSize } from './action-view.ts';
import { controlStyles } from './controls.styles.ts';
import { cssProperties } from './css-properties.ts';
import { icon } from './icons.ts';
import { imageViewerStyles } from './image-viewer.styles.ts';
import './screenshot.ts';
import type { Localizer } from './strings/localizer.ts';

/** What the viewer shows. */
export interface ViewedImage {
  readonly url: string;
  readonly size: ScreenSize;
  readonly mark: ScreenMark | null;
  readonly description: string;
}

/**
 * @summary Shows a screenshot over the whole page, as large as fits or at its actual size.
 *
 * @csspart viewer - The dialog.
 */
@customElement('autoglm-image-viewer')
export class AutoglmImageViewer extends LitElement {
  static override styles = [controlStyles, imageViewerStyles];

  @property({ attribute: false }) words!: Localizer;
  @state() shown: ViewedImage | null = null;
  @state() zoomed = false;

  @query('dialog') dialog!: HTMLDialogElement;

  /** Opens; Escape, a click beside the picture and the button close it, and the focus returns. */
  async show(image: ViewedImage): Promise<void> {
    this.shown = image;
    this.zoomed = false;
    await this.updateComplete;
    this.dialog.showModal();
  }

  override render(): TemplateResult {
    const { shown, words, zoomed } = this;
    return html`<dialog
      part="viewer"
      aria-label=${shown?.description ?? ''}
      @close=${() => (this.shown = null)}
      @click=${this.#onClick}
    >
      ${
        shown === null
          ? nothing
          : html`<div class="tools">
                <button type="button" class="button" aria-pressed=${zoomed} @click=${this.#toggleZoom}>
                  ${icon('zoom')}${words.say(zoomed ? 'zoomOut' : 'zoomIn')}
                </button>
                <button type="button" class="button" @click=${this.#close}>
                  ${icon('close')}${words.say('close')}
                </button>
              </div>
              <div
                class="stage ${zoomed ? 'zoomed' : ''}"
                tabindex="0"
                role="group"
                aria-label=${shown.description}
              >
                <autoglm-screenshot
                  ${cssProperties({
                    '--image-width': `${shown.size.width}px`,
                    '--image-ratio': String(shown.size.width / shown.size.height),
                  })}
                  .src=${shown.url}
                  .size=${shown.size}
                  .mark=${shown.mark}
                  .description=${shown.description}
                ></autoglm-screenshot>
              </div>`
      }
    </dialog>`;
  }

  #toggleZoom = (): void => {
    this.zoomed = !this.zoomed;
  };

  #close = (): void => {
    this.dialog.close();
  };

  #onClick = (event: Event): void => {
    const target = event.target as Element;
    if (target === this.dialog || target.classList.contains('stage')) this.dialog.close();
  };
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-image-viewer': AutoglmImageViewer;
  }
}
