import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { live } from 'lit/directives/live.js';
import { AttachmentsController } from './attachments-controller.ts';
import {
  ComposerAttachEvent,
  ComposerInputEvent,
  ComposerStopEvent,
  ComposerSubmitEvent,
} from './composer-events.ts';
import { composerStyles } from './composer.styles.ts';
import { controlStyles } from './controls.styles.ts';
import type { ImageTokenCounter, ImageTokenCounts } from '../engine/image-token-counter.ts';
import type { TurnImage } from './conversation.ts';
import { icon } from './icons.ts';
import { IMAGE_TYPES, imageFiles } from './image-files.ts';
import { isSubmit } from './keyboard.ts';
import type { Localizer } from './strings/localizer.ts';
import { turnStyles } from './turn.styles.ts';

/** AutoGLM's word for the launcher, which most first screenshots show. */
export const HOME_APP = 'System Home';

const WORTHWHILE_SHARE = 0.8;
/** Below this a picture is cheap, and too small to lose detail. */
const LARGE_TOKEN_COUNT = 500;

/**
 * @summary Where a turn is written: text, screenshots with their token cost, send and stop.
 *
 * @slot - Further buttons beside the attach button.
 * @csspart composer - The box around everything.
 * @csspart input - The text field.
 * @csspart attach-button - Opens the file dialog.
 * @csspart send-button - Sends, or stops the answer.
 * @csspart attachments - The row of screenshots.
 */
@customElement('autoglm-composer')
export class AutoglmComposer extends LitElement {
  static override styles = [controlStyles, turnStyles, composerStyles];

  @property({ attribute: false }) words!: Localizer;
  /** False while nothing could answer: text can be written, not sent. */
  @property({ type: Boolean }) sendable = false;
  /** An answer is being written: the button stops it. */
  @property({ type: Boolean }) streaming = false;
  /** Null while it is not known what images cost. */
  @property({ attribute: false }) countImageTokens: ImageTokenCounter | null = null;
  @state() text = '';
  @state() currentApp = HOME_APP;

  @query('textarea') input!: HTMLTextAreaElement;
  @query('input[type=file]') picker!: HTMLInputElement;
  @query('input[capture]') camera!: HTMLInputElement;

  readonly attachments = new AttachmentsController(this);

  override focus(options?: FocusOptions): void {
    this.input.focus(options);
  }

  override render(): TemplateResult {
    return html`<div class="composer" part="composer">
      ${this.attachments.images.length > 0 ? this.#renderAttachments() : nothing} ${this.#renderFault()}
      <div class="row">
        ${this.#renderPickers()}
        <slot></slot>
        <textarea
          part="input"
          rows="1"
          dir="auto"
          enterkeyhint="send"
          aria-label=${this.words.say('message')}
          placeholder=${this.words.say('placeholder')}
          .value=${live(this.text)}
          @input=${this.#onInput}
          @keydown=${this.#onKeydown}
          @paste=${this.#onPaste}
        ></textarea>
        ${this.#renderSendButton()}
      </div>
    </div>`;
  }

  /** What waits to be sent. */
  get draft(): { readonly text: string; readonly images: readonly Blob[] } {
    return { text: this.text, images: this.attachments.images.map(({ blob }) => blob) };
  }

  /** Adds pictures that were chosen, pasted or dropped. */
  addFiles(files: readonly Blob[]): Promise<void> {
    this.dispatchEvent(new ComposerAttachEvent());
    return this.attachments.add(files);
  }

  /** Shows this text instead of what was written. */
  setText(text: string): void {
    this.text = text;
  }

  #renderPickers(): TemplateResult {
    const { words } = this;
    const picker = (label: 'attach' | 'takePhoto', open: () => void) =>
      html`<button
        type="button"
        part=${label === 'attach' ? 'attach-button' : 'camera-button'}
        class="icon-button ${label === 'takePhoto' ? 'camera' : ''}"
        title=${words.say(label)}
        aria-label=${words.say(label)}
        @click=${open}
      >
        ${icon(label === 'attach' ? 'attach' : 'camera')}
      </button>`;
    return html`${picker('attach', () => this.picker.click())}
      ${picker('takePhoto', () => this.camera.click())}
      <input type="file" multiple hidden accept=${IMAGE_TYPES.join(',')} @change=${this.#onPick} />
      <input type="file" hidden accept="image/*" capture="environment" @change=${this.#onPick} />`;
  }

  #renderSendButton(): TemplateResult {
    const { words, streaming } = this;
    const label = words.say(streaming ? 'stop' : 'send');
    return html`<button
      type="button"
      part="send-button"
      class="send ${streaming ? 'stop' : ''}"
      title=${label}
      aria-label=${label}
      ?disabled=${!streaming && !this.#canSend}
      @click=${streaming ? this.#stop : this.#submit}
    >
      ${icon(streaming ? 'stop' : 'send')}
    </button>`;
  }

  #renderAttachments(): TemplateResult {
    const { words } = this;
    return html`<div class="attachments" part="attachments">
      <ul aria-label=${words.say('attachments')}>
        ${this.attachments.images.map((image) => this.#renderAttachment(image))}
      </ul>
      <label class="app-field">
        <span>${words.say('currentApp')}</span>
        <input
          type="text"
          dir="auto"
          autocomplete="off"
          placeholder=${words.say('unknownApp')}
          .value=${live(this.currentApp)}
          @input=${(event: Event) => (this.currentApp = (event.target as HTMLInputElement).value)}
          @keydown=${this.#onKeydown}
        />
      </label>
    </div>`;
  }

  #renderAttachment(image: TurnImage): TemplateResult {
    const { words } = this;
    const costs = this.countImageTokens?.(image.width, image.height) ?? null;
    const size = words.say('pixelSize', { width: image.width, height: image.height });
    return html`<li class="attachment">
      <span class="thumbnail"><img src=${this.attachments.urlOf(image)} alt=${image.name} /></span>
      <span class="attachment-facts">
        <bdi>${image.name}</bdi>
        <span>${size}</span>
        ${costs === null ? nothing : this.#renderCosts(image, costs)}
      </span>
      <button
        type="button"
        class="icon-button"
        title=${words.say('removeImage', { name: image.name })}
        aria-label=${words.say('removeImage', { name: image.name })}
        @click=${() => this.#remove(image.id)}
      >
        ${icon('close')}
      </button>
    </li>`;
  }

  /** A smaller picture is offered only where it saves something worth its detail. */
  #renderCosts(image: TurnImage, costs: ImageTokenCounts): TemplateResult {
    const { words } = this;
    const isLow = image.detail === 'low';
    const shown = words.say('tokenCount', { count: isLow ? costs.low : costs.full });
    const isWorthwhile = costs.full >= LARGE_TOKEN_COUNT && costs.low <= costs.full * WORTHWHILE_SHARE;
    if (!isWorthwhile) return html`<span>${shown}</span>`;
    const toggle = () => this.attachments.setDetail(image.id, isLow ? 'high' : 'low');
    const label = words.say('smallerImage', { full: costs.full, low: costs.low });
    return html`<button type="button" class="detail" aria-pressed=${isLow} title=${label} @click=${toggle}>
      ${shown}<span class="detail-name">${words.say(isLow ? 'lowDetail' : 'highDetail')}</span>
    </button>`;
  }

  #renderFault(): TemplateResult | typeof nothing {
    const { fault } = this.attachments;
    return fault === null ? nothing : html`<p class="fault" role="alert">${fault.message}</p>`;
  }

  get #canSend(): boolean {
    return this.sendable && (this.text.trim() !== '' || this.attachments.images.length > 0);
  }

  #submit = (): void => {
    if (this.streaming || !this.#canSend) return;
    const images = this.attachments.take();
    const app = this.currentApp.trim();
    const currentApp = images.length === 0 || app === '' ? null : app;
    const draft = { text: this.text.trim(), images, currentApp };
    this.text = '';
    this.currentApp = HOME_APP;
    this.dispatchEvent(new ComposerInputEvent(''));
    this.dispatchEvent(new ComposerSubmitEvent(draft));
    this.input.focus();
  };

  #stop = (): void => {
    this.dispatchEvent(new ComposerStopEvent());
    this.input.focus();
  };

  #remove(id: string): void {
    this.attachments.remove(id);
    // Its button is gone; without this the focus would fall back to the page.
    this.input.focus();
  }

  #onInput = (): void => {
    this.text = this.input.value;
    this.dispatchEvent(new ComposerInputEvent(this.text));
  };

  #onKeydown = (event: KeyboardEvent): void => {
    if (!isSubmit(event)) return;
    event.preventDefault();
    this.#submit();
  };

  #onPaste = (event: ClipboardEvent): void => {
    const files = imageFiles(event.clipboardData);
    if (files.length === 0) return;
    event.preventDefault();
    void this.addFiles(files);
  };

  #onPick = async (event: Event): Promise<void> => {
    const picker = event.target as HTMLInputElement;
    const files = [...(picker.files ?? [])];
    // Choosing the same file again must be a change again.
    picker.value = '';
    await this.addFiles(files);
    this.input.focus();
  };
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-composer': AutoglmComposer;
  }
}
