import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { repeat } from 'lit/directives/repeat.js';
import { controlStyles } from './controls.styles.ts';
import { HistoryCommandEvent } from './history-command-event.ts';
import type { HistoryCommand } from './history-command-event.ts';
import { historyPanelStyles } from './history-panel.styles.ts';
import { searchSummaries } from './history-store.ts';
import type { ConversationSummary } from './history-store.ts';
import { icon } from './icons.ts';
import type { IconName } from './icons.ts';
import { isCancel, isSubmit } from './keyboard.ts';
import { sidePanelStyles } from './side-panel.styles.ts';
import { openSidePanel } from './side-panel.ts';
import type { Localizer, StringKey } from './strings/localizer.ts';

/**
 * @summary The kept conversations: search, open, rename, delete, export and import.
 *
 * @csspart history - The panel.
 */
@customElement('autoglm-history-panel')
export class AutoglmHistoryPanel extends LitElement {
  static override styles = [controlStyles, sidePanelStyles, historyPanelStyles];

  @property({ attribute: false }) summaries: readonly ConversationSummary[] = [];
  /** The conversation that is open. */
  @property({ attribute: false }) currentId = '';
  @property({ attribute: false }) words!: Localizer;
  /** Why the last import failed; empty without a failure. */
  @property({ attribute: false }) fault = '';
  @state() wanted = '';
  @state() renamedId: string | null = null;

  @query('dialog') dialog!: HTMLDialogElement;
  @query('input[type=file]') picker!: HTMLInputElement;

  /** Opens along the given element. Escape closes, and the focus returns. */
  show(host: Element): void {
    this.wanted = '';
    this.renamedId = null;
    openSidePanel(this.dialog, host);
  }

  close(): void {
    this.dialog.close();
  }

  override render(): TemplateResult {
    const { words } = this;
    const found = searchSummaries(this.summaries, this.wanted);
    return html`<dialog
      part="history"
      aria-label=${words.say('history')}
      @click=${(event: Event) => event.target === this.dialog && this.close()}
    >
      <div class="panel">
        <header>
          <h2>${words.say('history')}</h2>
          ${this.#iconButton('close', 'close', () => this.close())}
        </header>
        <label class="search">
          ${icon('search')}
          <input
            type="search"
            dir="auto"
            aria-label=${words.say('searchHistory')}
            placeholder=${words.say('searchHistory')}
            .value=${this.wanted}
            @input=${(event: Event) => (this.wanted = (event.target as HTMLInputElement).value)}
          />
        </label>
        ${
          found.length === 0
            ? html`<p class="none">${words.say(this.summaries.length === 0 ? 'noHistory' : 'noMatch')}</p>`
            : html`<ul>
                ${repeat(
                  found,
                  ({ id }) => id,
                  (summary) => this.#renderSummary(summary),
                )}
              </ul>`
        }
        ${this.#renderFiles()}
      </div>
    </dialog>`;
  }

  #renderSummary(summary: ConversationSummary): TemplateResult {
    const { words } = this;
    const { id, updatedAt } = summary;
    if (id === this.renamedId) return html`<li>${this.#renderRename(summary)}</li>`;
    const isCurrent = id === this.currentId;
    return html`<li class=${isCurrent ? 'current' : ''}>
      <button
        type="button"
        class="open"
        aria-current=${isCurrent ? 'true' : nothing}
        @click=${() => this.#command({ name: 'open', id })}
      >
        <bdi class="title">${summary.title || words.say('untitled')}</bdi>
        <span class="date">${words.date(updatedAt)}</span>
      </button>
      ${this.#iconButton('edit', 'rename', () => this.#rename(id))}
      ${this.#iconButton('trash', 'delete', () => this.#command({ name: 'remove', id }))}
    </li>`;
  }

  #renderRename({ id, title }: ConversationSummary): TemplateResult {
    const { words } = this;
    const save = (input: HTMLInputElement) => {
      this.renamedId = null;
      this.#command({ name: 'rename', id, title: input.value.trim() });
    };
    const onKeydown = (event: KeyboardEvent) => {
      if (!isSubmit(event) && !isCancel(event)) return;
      event.preventDefault();
      if (event.key === 'Enter') save(event.target as HTMLInputElement);
      else this.renamedId = null;
    };
    return html`<input
        class="rename"
        type="text"
        dir="auto"
        aria-label=${words.say('titleOfChat')}
        .value=${title}
        @keydown=${onKeydown}
      />
      ${this.#iconButton('check', 'save', () => {
        const input = this.renderRoot.querySelector<HTMLInputElement>('.rename');
        if (input !== null) save(input);
      })}`;
  }

  async #rename(id: string): Promise<void> {
    this.renamedId = id;
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLInputElement>('.rename')?.select();
  }

  #renderFiles(): TemplateResult {
    const { words } = this;
    const button = (name: IconName, label: StringKey, run: () => void) =>
      html`<button type="button" class="button" @click=${run}>${icon(name)}${words.say(label)}</button>`;
    return html`<footer>
      ${
        this.fault === ''
          ? nothing
          : html`<p class="fault" role="alert">${words.say('importFailed')} ${this.fault}</p>`
      }
      ${button('export', 'exportJson', () => this.#command({ name: 'export', format: 'json' }))}
      ${button('export', 'exportMarkdown', () => this.#command({ name: 'export', format: 'markdown' }))}
      ${button('import', 'importJson', () => this.picker.click())}
      <input type="file" hidden accept="application/json,.json" @change=${this.#onPick} />
    </footer>`;
  }

  #iconButton(name: IconName, label: StringKey, run: () => void): TemplateResult {
    const text = this.words.say(label);
    return html`<button type="button" class="icon-button" title=${text} aria-label=${text} @click=${run}>
      ${icon(name)}
    </button>`;
  }

  #onPick = (): void => {
    const file = this.picker.files?.[0];
    this.picker.value = '';
    if (file !== undefined) this.#command({ name: 'import', file });
  };

  #command(command: HistoryCommand): void {
    this.dispatchEvent(new HistoryCommandEvent(command));
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-history-panel': AutoglmHistoryPanel;
  }
}
