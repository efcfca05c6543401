import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query } from 'lit/decorators.js';
import { repeat } from 'lit/directives/repeat.js';
import './assistant-message.ts';
import type { ScreenImage } from './assistant-message.ts';
import { controlStyles } from './controls.styles.ts';
import type { AssistantTurn, BranchPosition, Turn, TurnImage, UserTurn } from './conversation.ts';
import { renderExamples } from './example-cards.ts';
import type { ChatExample } from './example-cards.ts';
import { ExampleEvent } from './example-event.ts';
import { icon } from './icons.ts';
import type { LiveReply } from './live-reply.ts';
import { messageListStyles } from './message-list.styles.ts';
import { StickToBottomController } from './stick-to-bottom-controller.ts';
import type { Localizer } from './strings/localizer.ts';
import './user-message.ts';

/** Parts of a turn that a page may style. */
const MESSAGE_PARTS = 'message, bubble, actions, reasoning, action-card, figures, markdown, screenshot, mark';

/** One row: a turn, or the answer that is being written. */
interface Row {
  readonly id: string;
  readonly turn: Turn | null;
  /** The screenshot that the row's answer is about; for a question, the one that the answer below shows. */
  readonly screenImage: TurnImage | null;
}

/**
 * @summary The turns of a conversation; stays at its end while an answer grows.
 *
 * @slot empty - Shown while there is no turn.
 * @slot message-actions - Further buttons for the newest answer.
 * @csspart list - What scrolls.
 * @csspart empty - The words and examples of an empty conversation.
 * @csspart examples - The examples.
 */
@customElement('autoglm-message-list')
export class AutoglmMessageList extends LitElement {
  static override styles = [controlStyles, messageListStyles];

  @property({ attribute: false }) turns: readonly Turn[] = [];
  @property({ attribute: false }) live: LiveReply | null = null;
  @property({ attribute: false }) branches: ReadonlyMap<string, BranchPosition> = new Map();
  @property({ attribute: false }) urlOf!: (image: TurnImage) => string;
  @property({ attribute: false }) examples: readonly ChatExample[] = [];
  @property({ attribute: false }) words!: Localizer;
  /** The page fills the `message-actions` slot. */
  @property({ type: Boolean, attribute: false }) hasMessageActions = false;

  @query('.scroller') scroller!: HTMLElement | null;

  readonly #stick = new StickToBottomController(this, () => this.scroller);

  /** Goes to the newest turn and follows it. */
  showNewest(): void {
    this.#stick.stick();
  }

  override render(): TemplateResult {
    const { words } = this;
    const rows = toRows(this.turns, this.live);
    const newest = rows.at(-1);
    return html`<div
        class="scroller"
        part="list"
        role="log"
        aria-live="off"
        aria-label=${words.say('conversation')}
        aria-busy=${this.live === null ? 'false' : 'true'}
        tabindex="0"
      >
        <div class="turns">
          ${
            rows.length === 0
              ? this.#renderEmpty()
              : repeat(
                  rows,
                  ({ id }) => id,
                  (row) => this.#renderRow(row, row === newest),
                )
          }
        </div>
      </div>
      ${
        this.#stick.isStuck
          ? nothing
          : html`<button
              type="button"
              class="to-latest"
              title=${words.say('toLatest')}
              aria-label=${words.say('toLatest')}
              @click=${this.showNewest}
            >
              ${icon('down')}
            </button>`
      }`;
  }

  #renderEmpty(): TemplateResult {
    const { words } = this;
    return html`<div class="empty" part="empty">
      <slot name="empty">
        <h2>${words.say('emptyTitle')}</h2>
        <p>${words.say('emptyText')}</p>
        ${
          this.examples.length === 0
            ? nothing
            : renderExamples(this.examples, words, (example) => this.dispatchEvent(new ExampleEvent(example)))
        }
      </slot>
    </div>`;
  }

  #renderRow({ id, turn, screenImage }: Row, isNewest: boolean): TemplateResult {
    const isUser = turn?.role === 'user';
    const content = isUser
      ? this.#renderUser(turn, screenImage)
      : this.#renderAssistant(id, turn, screenImage, isNewest);
    const name = this.words.say(isUser ? 'you' : 'assistant');
    return html`<article class="turn ${isUser ? 'from-user' : ''}" aria-label=${name}>${content}</article>`;
  }

  #renderUser(turn: UserTurn, shownBelow: TurnImage | null): TemplateResult {
    return html`<autoglm-user-message
      exportparts=${MESSAGE_PARTS}
      .turn=${turn}
      .shownBelow=${shownBelow}
      .words=${this.words}
      .branch=${this.branches.get(turn.id) ?? null}
      .urlOf=${this.urlOf}
    ></autoglm-user-message>`;
  }

  #renderAssistant(
    id: string,
    turn: AssistantTurn | null,
    screenImage: TurnImage | null,
    isNewest: boolean,
  ): TemplateResult {
    return html`<autoglm-assistant-message
      exportparts=${MESSAGE_PARTS}
      .turn=${turn}
      .live=${turn === null ? this.live : null}
      .screen=${this.#screen(screenImage)}
      .words=${this.words}
      .branch=${this.branches.get(id) ?? null}
      >${isNewest && this.hasMessageActions ? html`<slot name="message-actions"></slot>` : nothing}</autoglm-assistant-message
    >`;
  }

  // One object an image, so that an unchanged row is not rendered again.
  readonly #screens = new WeakMap<TurnImage, ScreenImage>();

  #screen(image: TurnImage | null): ScreenImage | null {
    if (image === null) return null;
    const url = this.urlOf(image);
    const known = this.#screens.get(image);
    if (known?.url === url) return known;
    const screen = { image, url };
    this.#screens.set(image, screen);
    return screen;
  }
}

function toRows(turns: readonly Turn[], live: LiveReply | null): Row[] {
  const rows: Row[] = [];
  let asked: readonly TurnImage[] = [];
  for (const turn of turns) {
    if (turn.role === 'user') asked = turn.images;
    rows.push({ id: turn.id, turn, screenImage: asked.at(-1) ?? null });
  }
  if (live !== null) rows.push({ id: live.turnId, turn: null, screenImage: asked.at(-1) ?? null });
  const isQuestion = (row: Row | undefined) => row === undefined || row.turn?.role === 'user';
  return rows.map((row, index) =>
    isQuestion(row) && isQuestion(rows[index + 1]) ? { ...row, screenImage: null } : row,
  );
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-message-list': AutoglmMessageList;
  }
}
