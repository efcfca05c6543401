import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { controlStyles } from './controls.styles.ts';
import type { BranchPosition, TurnImage, UserTurn } from './conversation.ts';
import { icon } from './icons.ts';
import { isCancel, isSubmit } from './keyboard.ts';
import type { Localizer } from './strings/localizer.ts';
import { renderBranchSwitch, renderTurnActions } from './turn-actions.ts';
import { TurnCommandEvent } from './turn-command-event.ts';
import type { TurnCommand } from './turn-command-event.ts';
import { turnStyles } from './turn.styles.ts';
import { userMessageStyles } from './user-message.styles.ts';

/**
 * @summary What the user sent: text, screenshots, and the app that they show.
 *
 * @csspart message - The whole turn.
 * @csspart bubble - The bubble around the text.
 * @csspart actions - The buttons under it.
 */
@customElement('autoglm-user-message')
export class AutoglmUserMessage extends LitElement {
  static override styles = [controlStyles, turnStyles, userMessageStyles];

  @property({ attribute: false }) turn!: UserTurn;
  @property({ attribute: false }) words!: Localizer;
  @property({ attribute: false }) branch: BranchPosition | null = null;
  /** The screenshot that the answer below shows, which need not stand here as well. */
  @property({ attribute: false }) shownBelow: TurnImage | null = null;
  @property({ attribute: false }) urlOf!: (image: TurnImage) => string;
  @state() editing = false;

  @query('textarea') editor!: HTMLTextAreaElement | null;

  override render(): TemplateResult {
    return html`<div class="message" part="message">
      ${this.#renderImages()}
      ${
        this.editing
          ? this.#renderEditor()
          : html`<div class="said">${this.#renderText()} ${this.#renderActions()}</div>`
      }
    </div>`;
  }

  #renderImages(): TemplateResult | typeof nothing {
    const { currentApp } = this.turn;
    const images = this.turn.images.filter((image) => image !== this.shownBelow);
    if (images.length === 0 && currentApp === null) return nothing;
    return html`<div class="images">
      ${currentApp === null ? nothing : html`<bdi class="app">${currentApp}</bdi>`}
      ${images.map(
        (image) =>
          html`<button
            type="button"
            class="thumbnail"
            aria-label=${this.words.say('enlargeImage', { name: image.name })}
            @click=${() => this.#command({ name: 'zoom', imageId: image.id })}
          >
            <img src=${this.urlOf(image)} alt="" width=${image.width} height=${image.height} />
          </button>`,
      )}
    </div>`;
  }

  #renderText(): TemplateResult | typeof nothing {
    if (this.turn.text === '') return nothing;
    return html`<div class="bubble" part="bubble" dir="auto">${this.turn.text}</div>`;
  }

  #renderActions(): TemplateResult {
    const { words } = this;
    const actions = [
      { icon: 'copy', label: 'copy', run: () => void navigator.clipboard.writeText(this.turn.text) },
      { icon: 'edit', label: 'edit', run: () => this.#edit() },
      { icon: 'trash', label: 'delete', run: () => this.#command({ name: 'delete' }) },
    ] as const;
    return html`<div class="turn-actions" part="actions">
      ${renderTurnActions(actions, words)}
      ${renderBranchSwitch(this.branch, words, (branchId) => this.#command({ name: 'show-branch', branchId }))}
    </div>`;
  }

  #renderEditor(): TemplateResult {
    const { words } = this;
    return html`<div class="editor">
      <textarea
        dir="auto"
        rows="2"
        aria-label=${words.say('editMessage')}
        .value=${this.turn.text}
        @keydown=${this.#onKeydown}
      ></textarea>
      <div class="editor-actions">
        <button type="button" class="button" @click=${this.#cancel}>${words.say('cancel')}</button>
        <button type="button" class="button primary" @click=${this.#save}>
          ${icon('send')}${words.say('send')}
        </button>
      </div>
    </div>`;
  }

  async #edit(): Promise<void> {
    this.editing = true;
    await this.updateComplete;
    this.editor?.focus();
    this.editor?.setSelectionRange(this.turn.text.length, this.turn.text.length);
  }

  #onKeydown = (event: KeyboardEvent): void => {
    if (!isSubmit(event) && !isCancel(event)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === 'Enter') this.#save();
    else void this.#cancel();
  };

  #save = (): void => {
    const text = this.editor?.value.trim() ?? '';
    this.editing = false;
    if (text !== '') this.#command({ name: 'edit', text });
  };

  #cancel = async (): Promise<void> => {
    this.editing = false;
    await this.updateComplete;
    // The button that began the edit exists again; the focus goes back to it.
    this.renderRoot.querySelector<HTMLElement>('.turn-actions .icon-button:nth-of-type(2)')?.focus();
  };

  #command(command: TurnCommand): void {
    this.dispatchEvent(new TurnCommandEvent(this.turn.id, command));
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-user-message': AutoglmUserMessage;
  }
}
