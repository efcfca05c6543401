import { LitElement, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { actionCardStyles } from './action-card.styles.ts';
import { renderActionCard, renderPartialAction } from './action-card.ts';
import type { ActionScreen } from './action-card.ts';
import { viewAction } from './action-view.ts';
import type { ActionView } from './action-view.ts';
import { assistantMessageStyles } from './assistant-message.styles.ts';
import { controlStyles } from './controls.styles.ts';
import type { AssistantTurn, BranchPosition, TurnImage } from './conversation.ts';
import { titleOfFault } from './diagnosis.ts';
import { icon } from './icons.ts';
import type { LiveReply } from './live-reply.ts';
import './markdown.ts';
import { viewReply } from './reply-view.ts';
import type { ReplyView } from './reply-view.ts';
import './screenshot.ts';
import type { Localizer } from './strings/localizer.ts';
import { renderBranchSwitch, renderTurnActions } from './turn-actions.ts';
import { TurnCommandEvent } from './turn-command-event.ts';
import type { TurnCommand } from './turn-command-event.ts';
import { turnStyles } from './turn.styles.ts';

/** The screenshot that an answer is about. */
export interface ScreenImage {
  readonly image: TurnImage;
  readonly url: string;
}

/**
 * @summary An answer: folded reasoning, Markdown, the action as a card and as a mark on its screenshot.
 *
 * @slot - Further buttons for the newest answer.
 * @csspart message - The whole turn.
 * @csspart reasoning - The folded reasoning.
 * @csspart action-card - The action in words.
 * @csspart figures - Speed and tokens.
 * @csspart actions - The buttons.
 */
@customElement('autoglm-assistant-message')
export class AutoglmAssistantMessage extends LitElement {
  static override styles = [controlStyles, turnStyles, actionCardStyles, assistantMessageStyles];

  /** The whole answer; null while it is being written. */
  @property({ attribute: false }) turn: AssistantTurn | null = null;
  /** The growing answer; null once it is whole. */
  @property({ attribute: false }) live: LiveReply | null = null;
  @property({ attribute: false }) screen: ScreenImage | null = null;
  @property({ attribute: false }) words!: Localizer;
  @property({ attribute: false }) branch: BranchPosition | null = null;
  /** The user's own choice; null follows the stream. */
  @state() reasoningOpen: boolean | null = null;
  @state() copied = false;

  #unsubscribe: (() => void) | null = null;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#subscribe();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('live')) this.#subscribe();
  }

  #subscribe(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = this.live?.subscribe(() => this.requestUpdate()) ?? null;
  }

  override render(): TemplateResult {
    const view = viewReply(this.turn?.text ?? this.live?.text ?? '', this.live === null);
    const action =
      view.action === null ? null : viewAction(view.action, this.words, this.screen?.image ?? null);
    return html`<div
      class="message ${this.screen === null ? '' : 'with-screen'}"
      part="message"
      aria-busy=${this.live === null ? 'false' : 'true'}
    >
      <div class="answer">
        ${this.#renderReasoning(view)} ${this.#renderAnswer(view, action)} ${this.#renderFault()}
        ${this.#renderActions(view)}
      </div>
      ${this.#renderScreen(action)}
    </div>`;
  }

  #renderReasoning(view: ReplyView): TemplateResult | typeof nothing {
    if (view.thinking === '') return nothing;
    const open = this.reasoningOpen ?? view.isThinking;
    const ms = this.turn?.thinkingMs ?? this.live?.thinkingMs(performance.now()) ?? null;
    const title = view.isThinking
      ? this.words.say('thinking')
      : ms === null
        ? this.words.say('thought')
        : this.words.say('thoughtFor', { time: this.words.seconds(ms) });
    return html`<details class="reasoning" part="reasoning" ?open=${open}>
      <summary @click=${(event: Event) => this.#toggleReasoning(event, open)}>
        <span class="chevron flip-in-rtl">${icon('next')}</span>
        <span class="reasoning-title ${view.isThinking ? 'shimmer' : ''}">${title}</span>
        ${open ? nothing : html`<bdi class="reasoning-preview">${view.thinking}</bdi>`}
      </summary>
      <div class="reasoning-text" dir="auto">${view.thinking}</div>
    </details>`;
  }

  #toggleReasoning(event: Event, open: boolean): void {
    // The state is kept here: the fold would otherwise follow the stream against the user's will.
    event.preventDefault();
    this.reasoningOpen = !open;
  }

  #renderAnswer(view: ReplyView, action: ActionView | null): TemplateResult {
    // Tags alone are nothing to look at yet.
    const isWaiting =
      this.live !== null && view.thinking === '' && view.prose === '' && view.actionText === '';
    const isDone = view.action?.kind === 'finish';
    return html`${
      isWaiting
        ? html`<p class="waiting">
            <span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>${this.#waitingFor()}
          </p>`
        : nothing
    }
    ${
      view.prose === ''
        ? nothing
        : html`<autoglm-markdown
            exportparts="markdown"
            .text=${view.prose}
            .words=${this.words}
          ></autoglm-markdown>`
    }
    ${
      isDone && action !== null
        ? html`<p class="done">${icon(action.icon)}${action.title}</p>`
        : action !== null
          ? renderActionCard(action, view.actionText, this.#actionScreen)
          : view.actionText !== '' && view.prose === ''
            ? renderPartialAction(view.actionText, this.words)
            : nothing
    }`;
  }

  get #actionScreen(): ActionScreen | null {
    return this.screen === null ? null : { url: this.screen.url, size: this.screen.image };
  }

  #waitingFor(): string {
    if (this.live?.hasBegun !== true) return this.words.say('waitingForModel');
    return this.words.say(this.screen === null ? 'readingText' : 'readingScreen');
  }

  #renderFault(): TemplateResult | typeof nothing {
    const { turn, words } = this;
    if (turn === null || turn.finish === 'stop') return nothing;
    if (turn.finish === 'fault') {
      const title = turn.fault === null ? null : titleOfFault(turn.fault.code);
      return html`<p class="note bad" role="alert">
        ${icon('warning')}
        <span>
          <strong>${words.say('answerFailed')}</strong> ${title === null ? nothing : words.say(title)}
          <span class="technical" lang="en" dir="ltr">${turn.fault?.message ?? ''}</span>
        </span>
      </p>`;
    }
    return html`<p class="note">
      ${words.say(turn.finish === 'length' ? 'answerTooLong' : 'answerStopped')}
    </p>`;
  }

  #renderActions(view: ReplyView): TemplateResult | typeof nothing {
    const { turn, words } = this;
    if (turn === null) return this.#renderLiveFigures();
    const copy = () => void this.#copy(view.actionText || view.prose);
    const actions = [
      { icon: this.copied ? 'check' : 'copy', label: this.copied ? 'copied' : 'copy', run: copy },
      { icon: 'redo', label: 'regenerate', run: () => this.#command({ name: 'regenerate' }) },
      { icon: 'trash', label: 'delete', run: () => this.#command({ name: 'delete' }) },
    ] as const;
    return html`${
        turn.leftOutTurnCount > 0
          ? html`<p class="note">${words.say('leftOut', { count: turn.leftOutTurnCount })}</p>`
          : nothing
      }
      <div class="turn-actions" part="actions">
        <span class="figures" part="figures">${this.#figures(turn)}</span>
        <span class="grow"></span>
        ${renderBranchSwitch(this.branch, words, (branchId) =>
          this.#command({ name: 'show-branch', branchId }),
        )}
        ${renderTurnActions(actions, words)}<slot></slot>
      </div>`;
  }

  #renderLiveFigures(): TemplateResult | typeof nothing {
    const { live, words } = this;
    if (live === null || live.tokenCount === 0) return nothing;
    const speed = live.tokensPerSecond(performance.now());
    // Numbers that change every frame must not be read out.
    return html`<div class="turn-actions" part="actions" aria-hidden="true">
      <span class="figures" part="figures">
        ${[
          words.say('tokenCount', { count: live.tokenCount }),
          ...(speed === 0 ? [] : [words.say('speed', { count: formatSpeed(speed) })]),
        ].join(' · ')}
      </span>
    </div>`;
  }

  #figures(turn: AssistantTurn): string {
    const { figures } = turn;
    if (figures === null) return '';
    const { words } = this;
    return [
      ...(figures.tokensPerSecond > 0
        ? [words.say('speed', { count: formatSpeed(figures.tokensPerSecond) })]
        : []),
      words.say('tokenCount', { count: figures.completionTokens }),
      words.say('firstToken', { time: words.seconds(figures.timeToFirstTokenMs) }),
    ].join(' · ');
  }

  #renderScreen(action: ActionView | null): TemplateResult | typeof nothing {
    if (this.screen === null) return nothing;
    const { image, url } = this.screen;
    const size = { width: image.width, height: image.height };
    const shown = this.words.say('screenshotOf', size);
    const description = action === null ? shown : `${shown} ${action.title} ${action.detail}`.trim();
    return html`<button
      type="button"
      class="screen"
      title=${this.words.say('enlarge')}
      @click=${() => this.#command({ name: 'zoom', imageId: image.id })}
    >
      <autoglm-screenshot
        exportparts="screenshot, mark"
        .src=${url}
        .size=${size}
        .mark=${action?.mark ?? null}
        .description=${description}
        ?reading=${this.live?.hasBegun === true && this.live.text === ''}
      ></autoglm-screenshot>
    </button>`;
  }

  async #copy(text: string): Promise<void> {
    await navigator.clipboard.writeText(text);
    this.copied = true;
    setTimeout(() => (this.copied = false), 2000);
  }

  #command(command: TurnCommand): void {
    const turnId = this.turn?.id ?? this.live?.turnId;
    if (turnId !== undefined) this.dispatchEvent(new TurnCommandEvent(turnId, command));
  }
}

/** One decimal below ten: 3.4 and 4 are different waits, 48.2 and 48.3 are not. */
function formatSpeed(tokensPerSecond: number): number {
  return tokensPerSecond < 10 ? Math.round(tokensPerSecond * 10) / 10 : Math.round(tokensPerSecond);
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-assistant-message': AutoglmAssistantMessage;
  }
}
