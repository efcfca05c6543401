import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import type { AutoglmError } from '../base/errors.ts';
import type { FitReport } from '../engine/fit-report.ts';
import type { LoadPhase } from '../engine/engine.ts';
import { controlStyles } from './controls.styles.ts';
import { cssProperties } from './css-properties.ts';
import { diagnose } from './diagnosis.ts';
import { HelperLinkedEvent } from './helper-linked-event.ts';
import type { BrowserFacts } from './diagnosis.ts';
import type { EngineState } from './engine-controller.ts';
import { icon } from './icons.ts';
import {
  FolderRequestEvent,
  LoadCancelEvent,
  LoadPauseEvent,
  LoadRequestEvent,
  StorageRequestEvent,
} from './load-panel-events.ts';
import { loadPanelStyles } from './load-panel.styles.ts';
import { memoryBarStyles } from './memory-bar.styles.ts';
import { partsOf, renderGivenUp, renderMemoryBar } from './memory-bar.ts';
import { estimateMemory } from './model-facts.ts';
import type { ModelFacts } from './model-facts.ts';
import type { Localizer, StringKey } from './strings/localizer.ts';

type LoadingState = Extract<EngineState, { readonly kind: 'loading' }>;

const STEPS: readonly { readonly phase: Exclude<LoadPhase, 'ready'>; readonly label: StringKey }[] = [
  { phase: 'checking', label: 'phaseChecking' },
  { phase: 'downloading', label: 'phaseDownloading' },
  { phase: 'verifying', label: 'phaseVerifying' },
  { phase: 'uploading', label: 'phaseUploading' },
  { phase: 'compiling', label: 'phaseCompiling' },
];

/** Faults that linking the helper may cure. */
const LINKABLE: ReadonlySet<string> = new Set(['helper-unlinked', 'helper-unreachable']);

/**
 * @summary Stands where the conversation will be: consent before a load, its progress, or why it failed.
 *
 * @slot poster - Replaces the text above the load button.
 * @csspart panel - The panel.
 * @csspart load-button - Loads, or tries again.
 * @csspart progress - The progress bar.
 */
@customElement('autoglm-load-panel')
export class AutoglmLoadPanel extends LitElement {
  static override styles = [controlStyles, memoryBarStyles, loadPanelStyles];

  @property({ attribute: false }) state: EngineState = { kind: 'idle' };
  @property({ attribute: false }) facts: ModelFacts | null = null;
  @property({ attribute: false }) browser!: BrowserFacts;
  @property({ attribute: false }) words!: Localizer;
  /** Address of the helper; empty for the usual one. */
  @property({ attribute: false }) helperUrl = '';
  /** The browser is about to ask its user: told first, and this goes on. */
  @property({ attribute: false }) onLocalPrompt: (() => void) | null = null;
  /** As asked for by the page; null lets the engine choose. */
  @property({ attribute: false }) contextWindow: number | null = null;
  /** Name of the small model that answers while this one loads; empty where none does. */
  @property({ attribute: false }) standIn = '';
  /** A line instead of a panel: used above a conversation that is already there. */
  @property({ type: Boolean, reflect: true }) compact = false;

  #clock: ReturnType<typeof setInterval> | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#clock);
    this.#clock = undefined;
  }

  /** The time so far goes on while no progress comes. */
  protected override updated(): void {
    const isLoading = this.state.kind === 'loading' && !this.state.isPaused && this.isConnected;
    if (isLoading) this.#clock ??= setInterval(() => this.requestUpdate(), 1000);
    else {
      clearInterval(this.#clock);
      this.#clock = undefined;
    }
  }

  override render(): TemplateResult {
    return html`<section class="panel" part="panel">${this.#renderState()}</section>`;
  }

  #renderState(): TemplateResult | typeof nothing {
    switch (this.state.kind) {
      case 'idle':
        return this.#renderPoster();
      case 'loading':
        if (this.onLocalPrompt !== null) return this.#renderLocalPrompt(this.onLocalPrompt);
        return this.#renderProgress(this.state);
      case 'failed':
        return this.#renderFailure(this.state.error);
      case 'ready':
        return nothing;
    }
  }

  #renderPoster(): TemplateResult {
    const { words, facts } = this;
    return html`<slot name="poster">
        <div class="emblem">${icon('tap')}</div>
        <h2>${words.say('posterTitle')}</h2>
        <p class="lead">${words.say('posterText')}</p>
      </slot>
      ${
        facts === null
          ? nothing
          : html`<dl class="facts">
              ${renderFact(words.say('modelName'), facts.name)}
              ${renderFact(words.say('downloadSize'), words.bytes(facts.byteLength))}
              ${facts.keptBytes > 0 ? renderFact(words.say('alreadyKept'), words.bytes(facts.keptBytes)) : nothing}
              ${this.#renderEstimate(facts)}
            </dl>`
      }
      ${this.#renderLoadButton('load')} ${this.#renderChoices()}`;
  }

  /** What is known without loading any of it. */
  #renderEstimate(facts: ModelFacts): TemplateResult | typeof nothing {
    const { words } = this;
    const estimate = estimateMemory(facts, this.contextWindow);
    if (estimate === null) return nothing;
    const { contextWindow: count, weightBytes, cacheBytes } = estimate;
    const bytes = words.bytes(weightBytes + cacheBytes);
    return renderFact(
      words.say('memoryNeeded', { count }),
      words.say('aboutBytes', { bytes }),
      html`${renderMemoryBar({ weightBytes, cacheBytes, workBytes: 0 }, words)}
        <span class="memory-words">${words.say('triedFirst')}</span>`,
    );
  }

  /** How the model fits, once that is proved. */
  #renderPlan(plan: FitReport): TemplateResult {
    const { words } = this;
    return html`<dl class="facts">
      ${renderFact(
        words.say('memoryNeeded', { count: plan.contextWindow }),
        words.bytes(plan.memory.totalBytes),
        html`${renderMemoryBar(
          partsOf(plan),
          words,
          words.say(plan.proof === 'planned' ? 'fitsPlanned' : 'fitsTried'),
        )}
        ${renderGivenUp(plan, words)}`,
      )}
    </dl>`;
  }

  /** What else there is to do before a load; not in the line above a conversation. */
  #renderChoices(): TemplateResult | typeof nothing {
    if (this.compact) return nothing;
    const { words } = this;
    return html`<div class="choices">
      <button type="button" class="button quiet" @click=${() => this.dispatchEvent(new FolderRequestEvent())}>
        ${words.say('chooseFolder')}
      </button>
      <button
        type="button"
        class="button quiet"
        @click=${() => this.dispatchEvent(new StorageRequestEvent())}
      >
        ${words.say('manageModels')}
      </button>
    </div>`;
  }

  #renderProgress({ progress, startedAt, isPaused, plan }: LoadingState): TemplateResult {
    const { words } = this;
    const { phase = 'checking', loadedBytes = 0, totalBytes = 0, bytesPerSecond = 0 } = progress ?? {};
    const share = totalBytes > 0 ? Math.min(1, loadedBytes / totalBytes) : null;
    const isTransfer = phase !== 'compiling' && phase !== 'ready';
    const title =
      totalBytes > 0 && isTransfer
        ? words.say('bytesOf', { done: words.bytes(loadedBytes), total: words.bytes(totalBytes) })
        : words.say(isTransfer ? 'preparing' : 'almostReady');
    // With the plan the download begins, though a slow server may not have sent anything yet.
    const canPause = phase === 'downloading' || (phase === 'checking' && plan !== null);
    const label = STEPS.find((step) => step.phase === phase)?.label ?? 'phaseCompiling';
    return html`<h2 class="figures">${title}</h2>
      <div
        class="bar ${share === null && !isPaused ? 'unknown' : ''}"
        part="progress"
        role="progressbar"
        aria-label=${words.say(label)}
        aria-valuemin="0"
        aria-valuemax="100"
        aria-valuenow=${share === null ? nothing : Math.round(share * 100)}
      >
        <div ${cssProperties({ 'inline-size': `${(share ?? 0) * 100}%` })}></div>
      </div>
      <p class="lead figures">
        ${isPaused ? words.say('paused') : this.#speedLine(loadedBytes, totalBytes, bytesPerSecond, startedAt)}
        ${phase === 'downloading' ? html`<span class="dot">·</span> <span class="note">${words.say('resumesAfterBreak')}</span>` : nothing}
      </p>
      ${this.standIn === '' ? nothing : html`<p class="lead">${words.say('meanwhile', { name: this.standIn })}</p>`}
      ${this.#renderSteps(phase)} ${plan === null || this.compact ? nothing : this.#renderPlan(plan)}
      <div class="choices">
        ${
          canPause || isPaused
            ? html`<button
                type="button"
                class="button quiet"
                @click=${() => this.dispatchEvent(new LoadPauseEvent(!isPaused))}
              >
                ${words.say(isPaused ? 'resume' : 'pause')}
              </button>`
            : nothing
        }
        <button type="button" class="button quiet" @click=${() => this.dispatchEvent(new LoadCancelEvent())}>
          ${words.say('cancel')}
        </button>
      </div>`;
  }

  #speedLine(loadedBytes: number, totalBytes: number, bytesPerSecond: number, startedAt: number): string {
    const { words } = this;
    if (bytesPerSecond <= 0 || totalBytes === 0) {
      return words.say('elapsed', { time: words.duration(Date.now() - startedAt) });
    }
    const left = ((totalBytes - loadedBytes) / bytesPerSecond) * 1000;
    const speed = words.say('perSecond', { amount: words.bytes(bytesPerSecond) });
    return left < 1000 ? speed : `${speed} · ${words.say('timeLeft', { time: words.duration(left) })}`;
  }

  #renderSteps(phase: LoadPhase): TemplateResult {
    const current = phase === 'ready' ? STEPS.length : STEPS.findIndex((step) => step.phase === phase);
    return html`<ol class="steps">
      ${STEPS.map(({ label }, index) => {
        const status = index < current ? 'done' : index === current ? 'current' : 'ahead';
        return html`<li class=${status} aria-current=${status === 'current' ? 'step' : nothing}>
          ${status === 'done' ? icon('check') : nothing}${this.words.say(label)}
        </li>`;
      })}
    </ol>`;
  }

  #renderFailure(error: AutoglmError): TemplateResult {
    const { words } = this;
    const { title, steps } = diagnose(error.code, this.browser);
    // Its code comes only where somebody may link.
    if (LINKABLE.has(error.code)) void import('./helper-link.ts');
    return html`<div role="alert" class="failure">
        <div class="emblem bad">${icon('warning')}</div>
        <h2>${words.say(title)}</h2>
        ${renderAdvice(steps, words)}
        <details>
          <summary>${words.say('details')}</summary>
          <p class="technical"><code>${error.code}</code> ${error.message}</p>
        </details>
      </div>
      ${
        LINKABLE.has(error.code)
          ? html`<autoglm-helper-link
              .helperUrl=${this.helperUrl}
              .words=${words}
              @helper-linked=${() => this.dispatchEvent(new HelperLinkedEvent())}
            ></autoglm-helper-link>`
          : nothing
      }
      ${this.#renderLoadButton('retry')}
      ${error.code === 'quota-exceeded' || error.code === 'storage-unavailable' ? this.#renderChoices() : nothing}`;
  }

  #renderLocalPrompt(goOn: () => void): TemplateResult {
    const { words } = this;
    return html`<div class="emblem">${icon('lock')}</div>
      <p class="lead" role="alert">${words.say('localPrompt')}</p>
      <button type="button" class="button primary" @click=${goOn}>${words.say('goOn')}</button>
      <button type="button" class="button quiet" @click=${() => this.dispatchEvent(new LoadCancelEvent())}>
        ${words.say('cancel')}
      </button>`;
  }

  #renderLoadButton(label: 'load' | 'retry'): TemplateResult {
    return html`<button
      type="button"
      class="button primary"
      part="load-button"
      @click=${() => this.dispatchEvent(new LoadRequestEvent())}
    >
      ${icon(label === 'load' ? 'import' : 'redo')}${this.words.say(label)}
    </button>`;
  }
}

/** One row of facts: its name, its value, and what explains it below. */
function renderFact(name: string, value: string, below: TemplateResult | null = null): TemplateResult {
  return html`<div class="fact">
    <dt>${name}</dt>
    <dd><bdi>${value}</bdi></dd>
    ${below === null ? nothing : html`<dd class="wide">${below}</dd>`}
  </div>`;
}

/** What to do, step by step; a single step needs no number. */
export function renderAdvice(steps: readonly StringKey[], words: Localizer): TemplateResult | typeof nothing {
  if (steps.length === 0) return nothing;
  if (steps.length === 1) return html`<p class="lead">${steps.map((step) => words.say(step))}</p>`;
  return html`<ol class="advice">
    ${steps.map((step) => html`<li>${words.say(step)}</li>`)}
  </ol>`;
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-load-panel': AutoglmLoadPanel;
  }
}
