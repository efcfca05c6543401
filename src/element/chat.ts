import { LitElement, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { TINY_SYSTEM_PROMPT } from '../agent/prompts.ts';
import { AutoglmError, isAbortError } from '../base/errors.ts';
import type { Engine, EngineInfo } from '../engine/engine.ts';
import type { BackendChoice, ModelLocation, WebLlmOptions } from '../engine/engine-options.ts';
import type { ImageTokenCounter } from '../engine/image-token-counter.ts';
import { abortable } from '../base/abortable.ts';
import { actionOf, actionViewOf, screenImageOf, summaryOf } from './answer-summary.ts';
import type { GenerationSettings } from './answer-stream.ts';
import './backend-badge.ts';
import { BackendWatch } from './backend-watch.ts';
import { chatStyles } from './chat.styles.ts';
import './composer.ts';
import { HOME_APP } from './composer.ts';
import type { AutoglmComposer } from './composer.ts';
import type { ComposerInputEvent, ComposerSubmitEvent, Draft } from './composer-events.ts';
import { renderContextGauge } from './context-gauge.ts';
import { ConversationController } from './conversation-controller.ts';
import { branchPositions, createConversation, imagesOf } from './conversation.ts';
import type { AssistantTurn, Conversation, Turn, TurnImage } from './conversation.ts';
import { controlStyles } from './controls.styles.ts';
import { readBrowserFacts } from './diagnosis.ts';
import { DropController } from './drop-controller.ts';
import { EngineController, isFatal } from './engine-controller.ts';
import { createEngineLazily, takeHelperLink } from './engine-source.ts';
import type { EngineOptions } from './engine-source.ts';

import { AutoglmActionEvent } from './events/action.ts';
import { AutoglmBackendEvent } from './events/backend.ts';
import { AutoglmErrorEvent } from './events/error.ts';
import { AutoglmMessageEvent } from './events/message.ts';
import { AutoglmProgressEvent } from './events/progress.ts';
import { AutoglmReadyEvent } from './events/ready.ts';
import { AutoglmTokenEvent } from './events/token.ts';
import type { ChatExample } from './example-cards.ts';
import type { ExampleEvent } from './example-event.ts';
import type { HistoryCommandEvent } from './history-command-event.ts';
import { HistoryController } from './history-controller.ts';
import { fromHistoryFile, toHistoryText } from './history-file.ts';
import './history-panel.ts';
import type { AutoglmHistoryPanel } from './history-panel.ts';
import { icon } from './icons.ts';
import type { IconName } from './icons.ts';
import { openImageSource } from './image-files.ts';
import './image-viewer.ts';
import type { AutoglmImageViewer } from './image-viewer.ts';
import { renderInterruption } from './interruption-notice.ts';
import { isCancel } from './keyboard.ts';
import './load-panel.ts';
import { LocalPrompt } from './local-prompt.ts';
import { LocalizerController } from './localizer-controller.ts';
import type { LoadPauseEvent } from './load-panel-events.ts';
import './message-list.ts';
import type { AutoglmMessageList } from './message-list.ts';
import { fetchModelFacts, modelName } from './model-facts.ts';
import type { ModelFacts } from './model-facts.ts';
import { ObjectUrls } from './object-urls.ts';
import { pickFolder } from './pick-folder.ts';
import { SlotsController } from './slots-controller.ts';
import './storage-panel.ts';
import type { AutoglmStoragePanel } from './storage-panel.ts';
import type { Localizer, StringKey } from './strings/localizer.ts';
import { themeStyles } from './theme.styles.ts';
import type { TurnCommandEvent } from './turn-command-event.ts';

/** What `send` takes besides the text. */
export interface SendOptions {
  /** Screenshots, or URLs of the page's own that are fetched. */
  readonly images?: readonly (Blob | string)[];
  /** The app that the screenshots show, in AutoGLM's wording. Default with images: `System Home`. */
  readonly currentApp?: string | null;
}

/** What waits in the composer. */
export interface ComposerContent {
  /** What is written there. */
  readonly text: string;
  /** The attached screenshots. */
  readonly images: readonly Blob[];
}

/** The parts of a turn, handed on to the page. */
const LIST_PARTS =
  'list, empty, examples, message, bubble, actions, reasoning, action-card, figures, markdown, screenshot, mark';

/**
 * @summary A chat with AutoGLM, a phone agent that runs in this page on WebGPU: screenshots in, actions out.
 *
 * @slot header - Replaces the name in the header.
 * @slot empty - Shown while the conversation is empty.
 * @slot poster - Replaces the words above the load button.
 * @slot composer-actions - Further buttons beside the attach button.
 * @slot message-actions - Further buttons for the newest answer.
 * @slot footer - Replaces the line under the composer.
 *
 * @event {AutoglmProgressEvent} autoglm-progress - A step of a load.
 * @event {AutoglmReadyEvent} autoglm-ready - The model is loaded.
 * @event {AutoglmTokenEvent} autoglm-token - Text was generated.
 * @event {AutoglmMessageEvent} autoglm-message - A turn was added.
 * @event {AutoglmActionEvent} autoglm-action - An answer holds an action.
 * @event {AutoglmBackendEvent} autoglm-backend - The engine changed.
 * @event {AutoglmErrorEvent} autoglm-error - A load or an answer failed.
 *
 * @csspart header - The bar at the top.
 * @csspart footer - Everything below the conversation.
 * @csspart panel - The poster, progress or failure in place of the conversation.
 * @csspart composer - The box around the text field.
 * @csspart history - The list of kept conversations.
 * @csspart storage - The list of kept models.
 * @csspart list - The conversation, which scrolls.
 * @csspart message - A turn.
 * @csspart bubble - The user's words.
 * @csspart action-card - An action in words.
 * @csspart screenshot - A screenshot with its mark.
 * @csspart mark - The drawing on a screenshot.
 *
 * @cssproperty --autoglm-accent - Buttons, links and focus.
 * @cssproperty --autoglm-accent-ink - Text on the accent.
 * @cssproperty --autoglm-accent-soft - The user's bubble.
 * @cssproperty --autoglm-background - Behind the conversation.
 * @cssproperty --autoglm-surface - Header, footer and cards.
 * @cssproperty --autoglm-raised - The text field and badges.
 * @cssproperty --autoglm-hover - What the pointer is over.
 * @cssproperty --autoglm-line - Borders.
 * @cssproperty --autoglm-line-strong - Borders of fields.
 * @cssproperty --autoglm-text - Text.
 * @cssproperty --autoglm-muted - Text of less weight.
 * @cssproperty --autoglm-warn - Warnings; `--autoglm-warn-soft` is behind them.
 * @cssproperty --autoglm-bad - Faults; `--autoglm-bad-soft` is behind them.
 * @cssproperty --autoglm-mark - The mark on a screenshot; `--autoglm-mark-ink` where it is text.
 * @cssproperty --autoglm-shadow - The shadow of what floats.
 * @cssproperty --autoglm-font - The typeface.
 * @cssproperty --autoglm-font-mono - The typeface of code.
 * @cssproperty --autoglm-font-size - Text size; `-xs`, `-s`, `-l` and `-xl` are the others.
 * @cssproperty --autoglm-radius-s - Corners; `-m`, `-l` and `-full` are the others.
 * @cssproperty --autoglm-space-s - Distances; `-xs`, `-m`, `-l` and `-xl` are the others.
 * @cssproperty --autoglm-content-width - Width of the conversation in a wide page.
 * @cssproperty --autoglm-screenshot-width - Width of the screenshot beside an answer.
 *
 * @cssState loading - The model is being loaded.
 * @cssState ready - The model answers.
 * @cssState streaming - An answer is being written.
 * @cssState failed - The load failed.
 */
@customElement('autoglm-chat')
export class AutoglmChat extends LitElement {
  /** In a form the newest answer is submitted under the element's `name`. */
  static readonly formAssociated = true;

  /** @internal */
  static override styles = [controlStyles, themeStyles, chatStyles];

  /** Under which a form submits the newest answer; empty submits nothing. */
  @property({ reflect: true }) name = '';
  /** URL of the model folder, relative to the page. */
  @property({ reflect: true }) model = '';
  /** `manual` waits for the user's consent; `eager` loads at once. */
  @property({ reflect: true }) loading: 'manual' | 'eager' = 'manual';
  /** URL of a small model that answers while the other one is downloaded; empty waits instead. */
  @property({ attribute: 'fallback-model', reflect: true }) fallbackModel = '';
  /** A folder or files that the user chose, loaded in place of `model`. */
  @property({ attribute: false }) modelFiles: Exclude<ModelLocation, string> | null = null;
  /** Where answers are computed. */
  @property({ reflect: true }) backend: BackendChoice = 'auto';
  /** URL of the local helper; with `backend="remote"`, of the server. */
  @property({ attribute: 'helper-url', reflect: true }) helperUrl = '';
  /** Tokens that prompt and answer may hold together; null lets the engine choose. */
  @property({ attribute: 'context-window', type: Number, reflect: true }) contextWindow: number | null = null;
  /** BCP 47 tag; empty follows the page's `lang`, then the browser. */
  @property({ reflect: true }) locale = '';
  /** `auto` follows the system. */
  @property({ reflect: true }) theme: 'auto' | 'light' | 'dark' = 'auto';
  /** What the model is told before the conversation. */
  @property({ attribute: 'system-prompt' }) systemPrompt = TINY_SYSTEM_PROMPT;
  /** Conversations with the same key share one history in this browser; empty keeps nothing. */
  @property({ attribute: 'history-key' }) historyKey = 'default';
  /** Offered while the conversation is empty. */
  @property({ attribute: false }) examples: readonly ChatExample[] = [];
  /** API key of the server at `helper-url` with `backend="remote"`. */
  @property({ attribute: false }) apiKey = '';
  /** With `backend="web-llm"`: its list of models, and a worker of the page for it. */
  @property({ attribute: false }) webLlm: WebLlmOptions | null = null;
  /** Sampler settings of every request; greedy by default. */
  @property({ attribute: false }) generation: GenerationSettings = {};

  /** @internal */
  @state() facts: ModelFacts | null = null;
  /** @internal */
  @state() countImageTokens: ImageTokenCounter | null = null;
  /** @internal */
  @state() announcement = '';

  /** @internal */
  @query('autoglm-composer') composer!: AutoglmComposer;
  /** @internal */
  @query('autoglm-message-list') list!: AutoglmMessageList | null;
  /** @internal */
  @query('autoglm-image-viewer') viewer!: AutoglmImageViewer;
  /** @internal */
  @query('autoglm-storage-panel') storagePanel!: AutoglmStoragePanel;
  /** @internal */
  @query('autoglm-history-panel') historyPanel!: AutoglmHistoryPanel;

  readonly #internals = this.attachInternals();
  readonly #browser = readBrowserFacts(navigator, isSecureContext);
  readonly #urls = new ObjectUrls();
  readonly #slots = new SlotsController(this);
  readonly #localizer = new LocalizerController(this);
  readonly #history = new HistoryController(this);
  #restored: Promise<void> = Promise.resolve();
  readonly #reported = new WeakSet<AutoglmError>();
  readonly #drop = new DropController(
    this,
    (files) => void this.composer.addFiles(files),
    (files) => this.#useFolder(files),
  );
  readonly #localPrompt = new LocalPrompt(this);
  readonly #backend = new BackendWatch(this, (info) => this.dispatchEvent(new AutoglmBackendEvent(info)));
  readonly #engine = new EngineController(
    this,
    {
      onProgress: (progress) => this.dispatchEvent(new AutoglmProgressEvent(progress)),
      onReady: (engine) => this.#onReady(engine),
      onGone: () => this.#onGone(),
      onFailure: (error) => this.#report(error),
    },
    (options) => this.#createEngine(options),
  );
  /** Answers while the model itself is loaded, where the page names a small one. */
  readonly #standIn = new EngineController(this, {
    onProgress: () => {},
    onReady: (engine) => this.dispatchEvent(new AutoglmBackendEvent(engine.info)),
    onGone: () => {},
    // The page waits for the model itself then, as it would without a stand-in.
    onFailure: () => {},
  });
  readonly #talk = new ConversationController(this, this.#createContext(), {
    onChange: (conversation) => this.#onChange(conversation),
    onTurn: (turn) => this.#onTurn(turn),
    onText: (turnId, text) => this.dispatchEvent(new AutoglmTokenEvent(turnId, text)),
    onFault: (error) => this.#onFault(error),
  });

  /** The loaded engine. A page may hand in its own, which the element then uses and never unloads. */
  get engine(): Engine | null {
    return this.#engine.engine;
  }

  /** Null gives the engine back. */
  set engine(engine: Engine | null) {
    if (engine === null) this.#engine.unload();
    else this.#engine.adopt(engine);
  }

  /** The turns of the shown branch. */
  get turns(): readonly Turn[] {
    return this.#talk.shown;
  }

  /**
   * Loads the model; what is cached is not fetched again. After a failure or a lost device it may be called again.
   *
   * @throws AutoglmError, or `AbortError` when `unload()` ended the load.
   */
  async load(): Promise<EngineInfo> {
    // Attributes that were just set are taken first: they would end a load that had begun without them.
    if (this.isUpdatePending) await this.updateComplete;
    const { backend, helperUrl, contextWindow } = this;
    const model = this.modelFiles ?? this.model;
    const loaded = this.#engine.load({ model, backend, helperUrl, contextWindow });
    if (this.fallbackModel !== '' && this.#engine.state.kind === 'loading') this.#loadStandIn();
    return (await loaded).info;
  }

  /**
   * Sends a turn and resolves with the whole answer; a stopped or failed one says so in `finish`. Loads the
   * model first where it is not loaded.
   *
   * @throws AutoglmError `engine-busy` while an answer is being written, `message-invalid` for an empty turn,
   *   `image-undecodable` for a broken image.
   */
  async send(text: string, options: SendOptions = {}): Promise<AssistantTurn> {
    const images = await Promise.all((options.images ?? []).map(openImageSource));
    const currentApp = options.currentApp === undefined && images.length > 0 ? HOME_APP : options.currentApp;
    return this.#send({ text: text.trim(), images, currentApp: currentApp ?? null });
  }

  /** What was begun in the composer and not sent. */
  get draft(): ComposerContent {
    return this.composer.draft;
  }

  /**
   * Puts a text or screenshots into the composer, where the user goes on; nothing is sent. A text takes the place of
   * the one that is there, screenshots are added.
   */
  async compose(content: Partial<ComposerContent>): Promise<void> {
    await this.#restored;
    const { text = '', images = [] } = content;
    if (text !== '') {
      this.composer.setText(text);
      this.#history.writeDraft(this.#talk.conversation, text);
    }
    await this.composer.addFiles(images);
    this.composer.focus();
  }

  /** Opens the list of kept conversations. */
  async showHistory(): Promise<void> {
    if (this.isUpdatePending) await this.updateComplete;
    if (this.#history.isEnabled) this.#openHistory();
  }

  /** Resolves once all that is shown is kept in this browser, so that the page may go. */
  get saved(): Promise<void> {
    return this.#history.saved;
  }

  /** Stops the answer that is being written; what has come is kept. */
  stop(): void {
    this.#talk.stop();
  }

  /** Begins a new conversation; the old one stays in the history. */
  reset(): void {
    this.show(createConversation());
  }

  /** Frees the model, or ends its load. The conversation stays. */
  async unload(): Promise<void> {
    this.#talk.stop();
    this.#standIn.unload();
    this.#engine.unload();
    await this.updateComplete;
  }

  /** Lets a load rest; whoever waits for the model goes on waiting. */
  pause(): void {
    this.#engine.pause();
  }

  /** Goes on with a load that was paused; what has come is not fetched again. */
  resume(): void {
    this.#engine.resume();
  }

  /** Opens the list of models that this browser keeps. */
  showStorage(): void {
    this.storagePanel.show(this);
  }

  /**
   * The shown branch: `json` holds it as OpenAI messages with the images as data URLs, `markdown` is for people.
   */
  async exportHistory(format: 'json' | 'markdown' = 'json'): Promise<string> {
    return toHistoryText(this.#talk.conversation, format);
  }

  /**
   * Shows an exported conversation, or any list of OpenAI messages, as a new conversation.
   *
   * @param data the JSON text, or the parsed value.
   * @throws AutoglmError `message-invalid` for anything else; images must be data URLs.
   */
  async importHistory(data: string | object): Promise<void> {
    this.show(await fromHistoryFile(data));
  }

  /** The shown conversation with all its branches. Immutable. */
  get conversation(): Conversation {
    return this.#talk.conversation;
  }

  /** Shows another conversation, with the draft that was begun in it; an answer that is being written stops. */
  show(conversation: Conversation): void {
    this.#talk.replace(conversation);
    this.composer.setText(this.#history.readDraft(conversation));
    this.#showNewest();
  }

  /** Sets the title of the conversation; empty takes the first text again. */
  rename(title: string): void {
    this.#talk.rename(title);
  }

  /** A form that is reset begins a new conversation. */
  formResetCallback(): void {
    this.reset();
  }

  override focus(options?: FocusOptions): void {
    this.composer.focus(options);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener('keydown', this.#onKeydown);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener('keydown', this.#onKeydown);
    // An element that is only moved is connected again in the same task.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#talk.stop();
      this.#standIn.unload();
      this.#engine.unload();
      this.#urls.keepOnly(new Set());
    });
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    // Another address takes the place of what was chosen.
    if (changed.has('model') && this.hasUpdated && !changed.has('modelFiles')) this.modelFiles = null;
    if (changed.has('historyKey')) this.#history.use(this.historyKey);
    const isOther = (['model', 'modelFiles', 'backend', 'helperUrl', 'contextWindow'] as const).some((name) =>
      changed.has(name),
    );
    if (!isOther && !changed.has('loading')) return;
    if (changed.has('model')) this.countImageTokens = null;
    if (this.hasUpdated && isOther && !this.#engine.isBorrowed) this.#engine.unload();
    if (this.loading === 'eager') this.#loadQuietly();
    else void this.#readFacts();
  }

  protected override firstUpdated(): void {
    this.#restored = this.#history.restore();
    void takeHelperLink().then((isLinked) => isLinked && this.#onHelperLinked());
  }

  protected override updated(): void {
    const { kind } = this.#engine.state;
    this.#setState('loading', kind === 'loading');
    this.#setState('ready', kind === 'ready');
    this.#setState('failed', kind === 'failed');
    this.#setState('streaming', this.#talk.live !== null);
  }

  override render(): TemplateResult {
    return html`<div class="chat" lang=${this.#words.locale} dir=${this.#words.direction}>
      ${this.#renderHeader()}
      <div class="body">${this.#renderBody()}</div>
      ${this.#renderFooter()}
      ${this.#drop.isOver ? html`<div class="drop">${icon('import')}${this.#words.say('dropHere')}</div>` : nothing}
      <p class="visually-hidden" role="status">${this.announcement}</p>
      <autoglm-image-viewer exportparts="viewer" .words=${this.#words}></autoglm-image-viewer>
      ${this.#renderHistory()}
      <autoglm-storage-panel
        exportparts="storage"
        .words=${this.#words}
        .modelUrl=${this.model === '' ? '' : this.#modelUrl}
      ></autoglm-storage-panel>
    </div>`;
  }

  /** The engine that answers now. */
  get #answering(): Engine | null {
    return this.#engine.engine ?? this.#standIn.engine;
  }

  get #words(): Localizer {
    return this.#localizer.localizer;
  }

  #renderHeader(): TemplateResult {
    const info = this.#answering?.info ?? null;
    return html`<header part="header">
      ${this.#history.isEnabled ? this.#renderTool('history', 'history', this.#openHistory) : nothing}
      <slot name="header"><span class="name">AutoGLM</span></slot>
      <bdi class="model">${info?.model ?? modelName(this.model)}</bdi>
      <span class="grow"></span>
      <autoglm-backend-badge
        exportparts="badge, popover"
        .state=${this.#engine.engine === null && this.#standIn.engine !== null ? this.#standIn.state : this.#engine.state}
        .interrupted=${this.#backend.interruption !== null}
        .browser=${this.#browser}
        .words=${this.#words}
        @storage-request=${this.showStorage}
        @unload-request=${() => void this.unload()}
      ></autoglm-backend-badge>
      ${this.#renderTool('newChat', 'newChat', this.#newChat)}
    </header>`;
  }

  #renderTool(name: IconName, label: StringKey, run: () => void): TemplateResult {
    const text = this.#words.say(label);
    return html`<button type="button" class="icon-button" title=${text} aria-label=${text} @click=${run}>
      ${icon(name)}
    </button>`;
  }

  #renderHistory(): TemplateResult {
    return html`<autoglm-history-panel
      exportparts="history"
      .summaries=${this.#history.summaries}
      .currentId=${this.#talk.conversation.id}
      .fault=${this.#history.fault}
      .words=${this.#words}
      @history-command=${this.#onHistoryCommand}
    ></autoglm-history-panel>`;
  }

  #renderBody(): TemplateResult {
    const isReady = this.#answering !== null;
    const isEmpty = this.#talk.shown.length === 0;
    if (isEmpty && !isReady) return html`<div class="panel-scroller">${this.#renderPanel(false)}</div>`;
    return html`<autoglm-message-list
        exportparts=${LIST_PARTS}
        .turns=${this.#talk.shown}
        .live=${this.#talk.live}
        .branches=${branchPositions(this.#talk.conversation)}
        .urlOf=${this.#urlOf}
        .examples=${this.examples}
        .words=${this.#words}
        .hasMessageActions=${this.#slots.has('message-actions')}
        @turn-command=${this.#onTurnCommand}
        @example-choose=${this.#onExample}
      >
        ${this.#forward('empty')}${this.#forward('message-actions')}
      </autoglm-message-list>
      ${this.#engine.state.kind === 'ready' ? nothing : this.#renderPanel(true)}`;
  }

  #renderPanel(compact: boolean): TemplateResult {
    return html`<autoglm-load-panel
      exportparts="panel, load-button, progress"
      ?compact=${compact}
      .state=${this.#engine.state}
      .facts=${this.facts}
      .contextWindow=${this.contextWindow}
      .standIn=${this.#standIn.engine?.info.model ?? ''}
      .browser=${this.#browser}
      .words=${this.#words}
      .helperUrl=${this.backend === 'remote' ? '' : this.helperUrl}
      .onLocalPrompt=${this.#localPrompt.isOpen ? this.#localPrompt.goOn : null}
      @load-request=${this.#loadQuietly}
      @load-cancel=${this.#cancelLoad}
      @helper-linked=${this.#onHelperLinked}
      @load-pause=${(event: LoadPauseEvent) => (event.isPaused ? this.pause() : this.resume())}
      @storage-request=${this.showStorage}
      @folder-request=${this.#chooseFolder}
    >
      ${this.#forward('poster')}
    </autoglm-load-panel>`;
  }

  #renderFooter(): TemplateResult {
    const words = this.#words;
    const { kind } = this.#engine.state;
    const info = this.#answering?.info ?? null;
    const privacy =
      info?.backend === 'helper'
        ? 'privacyHelper'
        : info?.backend === 'remote'
          ? 'privacyRemote'
          : 'privacyLocal';
    return html`<footer part="footer">
      <div class="column">
        ${renderInterruption(this.#backend.interruption, words)}
        <autoglm-composer
          exportparts="composer, input, attach-button, camera-button, send-button, attachments"
          .words=${words}
          .countImageTokens=${this.countImageTokens}
          ?sendable=${kind === 'ready' || kind === 'loading' || this.#standIn.engine !== null}
          ?streaming=${this.#talk.live !== null}
          @composer-attach=${this.#readImageCosts}
          @composer-input=${this.#onInput}
          @composer-submit=${this.#onSubmit}
          @composer-stop=${this.stop}
        >
          ${this.#forward('composer-actions', '')}
        </autoglm-composer>
        <div class="hints">
          <slot name="footer"><span>${words.say(privacy)}</span></slot>
          ${renderContextGauge(this.#talk.shown, info, words)}
        </div>
      </div>
    </footer>`;
  }

  #forward(name: string, slot = name): TemplateResult | typeof nothing {
    return this.#slots.has(name) ? html`<slot name=${name} slot=${slot}></slot>` : nothing;
  }

  #createContext() {
    const withEngine = async <T>(task: (engine: Engine) => Promise<T>, signal: AbortSignal): Promise<T> => {
      const standIn = this.#standIn;
      const loaded = this.load();
      if (this.#engine.engine === null && standIn.engine !== null) {
        loaded.catch(this.#ignoreTold);
        return standIn.queue(task, signal);
      }
      await abortable(loaded, signal);
      return this.#engine.queue(task, signal);
    };
    const systemPrompt = () => this.systemPrompt;
    const generation = () => this.generation;
    return {
      withEngine,
      get systemPrompt() {
        return systemPrompt();
      },
      get generation() {
        return generation();
      },
    };
  }

  async #send(draft: Draft): Promise<AssistantTurn> {
    if (draft.text === '' && draft.images.length === 0) {
      throw new AutoglmError('message-invalid', 'The turn is empty.', { cure: 'Give a text or an image.' });
    }
    const isFirst = this.#talk.shown.length === 0;
    // A screenshot alone continues a task; the first one needs a question.
    const text = draft.text === '' && isFirst ? this.#words.say('describeScreen') : draft.text;
    const answer = this.#talk.send({ ...draft, text });
    this.#showNewest();
    return answer;
  }

  #loadQuietly = (): void => {
    // Failures are shown and told by an event; nobody waits for this promise.
    this.load().catch(() => {});
  };

  #loadStandIn(): void {
    if (this.#standIn.state.kind !== 'idle') return;
    const { fallbackModel: model, backend, helperUrl } = this;
    this.#standIn.load({ model, backend, helperUrl, contextWindow: null }).catch(() => {});
  }

  #chooseFolder = async (): Promise<void> => {
    const chosen = await pickFolder();
    if (chosen !== null) this.#useFolder(chosen);
  };

  /** Choosing is consent. */
  #useFolder(chosen: Exclude<ModelLocation, string>): void {
    this.modelFiles = chosen;
    this.#loadQuietly();
  }

  async #readFacts(): Promise<void> {
    this.facts = null;
    if (this.model === '') return;
    const url = this.#modelUrl;
    const facts = await fetchModelFacts(url, AbortSignal.timeout(20_000));
    if (url === this.#modelUrl) this.facts = facts;
  }

  #readImageCosts = async (): Promise<void> => {
    if (this.countImageTokens !== null || this.model === '') return;
    const url = this.#modelUrl;
    const { loadImageTokenCounter } = await import('../engine/image-token-counter.ts');
    // Without the file the pictures are shown without a cost, and the load says what is wrong.
    const counter = await loadImageTokenCounter(url).catch(() => null);
    if (url === this.#modelUrl) this.countImageTokens = counter;
  };

  get #modelUrl(): string {
    return new URL(this.model, document.baseURI).href;
  }

  /** Where engines come from, with what only this element knows. */
  #createEngine(options: EngineOptions): Promise<Engine> {
    return createEngineLazily({
      ...options,
      // A remote server and web-llm know their models by a name, not by an address.
      ...(['remote', 'web-llm'].includes(this.backend) && { model: this.model }),
      ...(this.apiKey !== '' && { apiKey: this.apiKey }),
      ...(this.webLlm && { webLlm: this.webLlm }),
      onLocalPrompt: this.#localPrompt.ask,
    });
  }

  #cancelLoad = (): void => {
    this.#localPrompt.close();
    this.#engine.cancel();
    this.#standIn.unload();
  };

  #onHelperLinked = (): void => {
    this.#localPrompt.goOn();
    this.#loadQuietly();
  };

  #onGone(): void {
    this.#backend.use(null);
    this.dispatchEvent(new AutoglmBackendEvent(null));
  }

  #onReady(engine: Engine): void {
    this.#backend.use(engine);
    // An answer that is being written ends where it began.
    void this.#standIn.settle().then(() => this.#standIn.unload());
    this.#talk.begin(engine);
    this.announcement = this.#words.say('readyAnnouncement');
    this.dispatchEvent(new AutoglmBackendEvent(engine.info));
    this.dispatchEvent(new AutoglmReadyEvent(engine.info));
  }

  #onChange(conversation: Conversation): void {
    this.#urls.keepOnly(new Set(imagesOf(conversation).map(({ id }) => id)));
    this.#history.lastShownId = conversation.turns.length === 0 ? null : conversation.id;
    void this.#history.save(conversation);
    const answer = this.#talk.shown.findLast(({ role }) => role === 'assistant');
    this.#internals.setFormValue(answer?.text ?? null);
  }

  #onTurn(turn: Turn): void {
    this.dispatchEvent(new AutoglmMessageEvent(turn));
    if (turn.role !== 'assistant') return;
    this.announcement = summaryOf(turn, this.#words);
    const action = actionOf(turn);
    if (action === null) return;
    const image = screenImageOf(this.#talk.shown, turn.id);
    const size = image === null ? null : { width: image.width, height: image.height };
    this.dispatchEvent(new AutoglmActionEvent(turn.id, action, size));
  }

  #onFault(error: AutoglmError): void {
    if (isFatal(error) && this.#engine.engine !== null) this.#engine.fail(error);
    this.#report(error);
  }

  #onInput = (event: ComposerInputEvent): void => {
    this.#history.writeDraft(this.#talk.conversation, event.text);
  };

  #onSubmit = (event: ComposerSubmitEvent): void => {
    this.#send(event.draft).catch(this.#ignoreTold);
  };

  #onExample = async (event: ExampleEvent): Promise<void> => {
    const { text, image, currentApp } = event.example;
    this.composer.focus();
    const app = currentApp === undefined ? {} : { currentApp };
    await this.send(text, { images: [image], ...app }).catch(this.#ignoreTold);
  };

  #onTurnCommand = (event: TurnCommandEvent): void => {
    event.stopPropagation();
    const { turnId, command } = event;
    switch (command.name) {
      case 'regenerate':
        this.#talk.regenerate(turnId).catch(this.#ignoreTold);
        this.composer.focus();
        break;
      case 'edit':
        this.#talk.edit(turnId, command.text).catch(this.#ignoreTold);
        this.composer.focus();
        break;
      case 'delete':
        this.#talk.remove(turnId);
        this.composer.focus();
        break;
      case 'show-branch':
        this.#talk.showBranch(command.branchId);
        break;
      case 'zoom':
        this.#zoom(turnId, command.imageId);
        break;
    }
  };

  #zoom(turnId: string, imageId: string): void {
    const image = imagesOf(this.#talk.conversation).find(({ id }) => id === imageId);
    if (image === undefined) return;
    const turn = this.#talk.shown.find(({ id }) => id === turnId);
    const view = turn?.role === 'assistant' ? actionViewOf(turn, this.#words, image) : null;
    const { width, height } = image;
    const shown = this.#words.say('screenshotOf', { width, height });
    const description = view === null ? shown : `${shown} ${view.title} ${view.detail}`.trim();
    void this.viewer.show({
      url: this.#urlOf(image),
      size: { width, height },
      mark: view?.mark ?? null,
      description,
    });
  }

  #newChat = (): void => {
    this.reset();
    this.composer.focus();
  };

  #onKeydown = (event: KeyboardEvent): void => {
    if (!isCancel(event) || this.#talk.live === null) return;
    event.preventDefault();
    this.stop();
  };

  #urlOf = (image: TurnImage): string => this.#urls.urlOf(image);

  #openHistory = (): void => {
    void this.#history.refresh();
    this.historyPanel.show(this);
  };

  #onHistoryCommand = async (event: HistoryCommandEvent): Promise<void> => {
    if (await this.#history.run(event.command)) this.historyPanel.close();
  };

  /** Tells of a fault once, although it may end both a load and the answer that waited for it. */
  #report(error: AutoglmError): void {
    if (this.#reported.has(error)) return;
    this.#reported.add(error);
    this.dispatchEvent(new AutoglmErrorEvent(error));
  }

  #ignoreTold = (error: unknown): void => {
    if (error instanceof AutoglmError) this.#report(error);
    else if (!isAbortError(error)) throw error;
  };

  #showNewest(): void {
    void this.updateComplete.then(() => this.list?.showNewest());
  }

  #setState(name: string, isOn: boolean): void {
    if (isOn) this.#internals.states.add(name);
    else this.#internals.states.delete(name);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-chat': AutoglmChat;
  }
}
