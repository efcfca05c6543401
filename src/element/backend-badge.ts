import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query } from 'lit/decorators.js';
import type { BackendReason, EngineInfo } from '../engine/engine.ts';
import { backendBadgeStyles } from './backend-badge.styles.ts';
import { controlStyles } from './controls.styles.ts';
import { diagnoseSoftware } from './diagnosis.ts';
import type { BrowserFacts } from './diagnosis.ts';
import type { EngineState } from './engine-controller.ts';
import { icon } from './icons.ts';
import { renderAdvice } from './load-panel.ts';
import { StorageRequestEvent } from './load-panel-events.ts';
import { memoryBarStyles } from './memory-bar.styles.ts';
import { partsOf, renderGivenUp, renderMemoryBar } from './memory-bar.ts';
import type { Localizer, StringKey } from './strings/localizer.ts';
import { UnloadRequestEvent } from './unload-request-event.ts';

const BACKEND_NAMES: Readonly<Record<EngineInfo['backend'], string>> = {
  webgpu: 'WebGPU',
  cuda: 'CUDA',
  helper: 'Helper',
  'web-llm': 'WebLLM',
  remote: 'Remote',
};

const REASONS: Readonly<Record<BackendReason['code'], StringKey>> = {
  'asked-for': 'whyAskedFor',
  fits: 'whyFits',
  'no-webgpu': 'whyNoWebGpu',
  'too-small': 'whyTooSmall',
  'out-of-memory': 'whyOutOfMemory',
  'device-lost': 'whyDeviceLost',
  'helper-back': 'whyHelperBack',
};

const WIDTH_PX = 336;
const MARGIN_PX = 8;

/**
 * @summary Says where answers are computed, and opens the figures behind it.
 *
 * @slot - Further words and buttons below the figures.
 * @csspart badge - The badge.
 * @csspart popover - The figures.
 */
@customElement('autoglm-backend-badge')
export class AutoglmBackendBadge extends LitElement {
  static override styles = [controlStyles, memoryBarStyles, backendBadgeStyles];

  @property({ attribute: false }) state: EngineState = { kind: 'idle' };
  @property({ attribute: false }) browser!: BrowserFacts;
  @property({ attribute: false }) words!: Localizer;
  /** The engine waits for what it runs on. */
  @property({ type: Boolean }) interrupted = false;

  @query('.badge') badge!: HTMLElement;
  @query('.popover') panel!: HTMLElement | null;

  override render(): TemplateResult {
    const { state, words } = this;
    if (state.kind !== 'ready') {
      const key = state.kind === 'idle' ? 'notLoaded' : state.kind;
      return html`<span class="badge ${state.kind}" part="badge"><i></i>${words.say(key)}</span>`;
    }
    const { info } = state.engine;
    const memory = info.gpuBytes > 0 ? [words.bytes(info.gpuBytes)] : [];
    return html`<button
        type="button"
        class="badge ${this.interrupted ? 'loading' : info.isSoftware ? 'software' : 'ready'}"
        part="badge"
        popovertarget="facts"
        aria-label=${words.say('backendLabel', { name: [this.#shortName(info), info.adapter, ...memory].join(', ') })}
      >
        <i></i><span>${this.#shortName(info)}</span>
        <bdi class="adapter">${info.adapter}</bdi>
        ${memory.map((bytes) => html`<span class="memory">${bytes}</span>`)}
      </button>
      <div id="facts" popover class="popover" part="popover" @beforetoggle=${this.#onToggle}>
        ${this.#renderFacts(info)}
      </div>`;
  }

  #shortName(info: EngineInfo): string {
    const { words } = this;
    if (this.interrupted) return words.say('waitingForHelper');
    // A helper on a slow adapter is still the helper; a tab that computes on the processor should say so.
    return info.isSoftware && info.backend === 'webgpu'
      ? words.say('softwareBadge')
      : BACKEND_NAMES[info.backend];
  }

  #renderFacts(info: EngineInfo): TemplateResult {
    const { words } = this;
    const row = (label: string, value: string) =>
      html`<dt>${label}</dt>
        <dd><bdi>${value}</bdi></dd>`;
    return html`<dl>
        ${row(words.say('backend'), BACKEND_NAMES[info.backend])} ${row(words.say('adapter'), info.adapter)}
        ${
          info.reason === undefined
            ? nothing
            : html`<dt>${words.say('backendWhy')}</dt>
                <dd title=${info.reason.text}>${words.say(REASONS[info.reason.code])}</dd>`
        }
        ${info.gpuBytes > 0 ? row(words.say('memory'), words.bytes(info.gpuBytes)) : nothing}
        ${row(words.say('modelName'), info.model)}
        ${info.quantization === '' ? nothing : row(words.say('quantization'), info.quantization)}
        ${row(words.say('context'), words.say('tokenCount', { count: info.contextWindow }))}
      </dl>
      ${
        info.plan === undefined
          ? nothing
          : html`<div class="plan">
              ${renderMemoryBar(partsOf(info.plan), words)}${renderGivenUp(info.plan, words)}
            </div>`
      }
      ${info.isSoftware && info.backend === 'webgpu' ? this.#renderSoftware() : nothing}
      <slot></slot>
      <button type="button" class="button" @click=${this.#openStorage}>${words.say('manageModels')}</button>
      <button type="button" class="button" @click=${this.#unload}>${words.say('unload')}</button>`;
  }

  #renderSoftware(): TemplateResult {
    const { title, steps } = diagnoseSoftware(this.browser);
    return html`<div class="software-note">
      <p>${icon('warning')}<strong>${this.words.say(title)}</strong></p>
      ${renderAdvice(steps, this.words)}
    </div>`;
  }

  #openStorage = (): void => {
    this.panel?.hidePopover();
    this.dispatchEvent(new StorageRequestEvent());
  };

  #unload = (): void => {
    this.panel?.hidePopover();
    this.dispatchEvent(new UnloadRequestEvent());
  };

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('resize', this.#place);
  }

  #onToggle = (event: ToggleEvent): void => {
    removeEventListener('resize', this.#place);
    if (event.newState !== 'open') return;
    this.#place();
    addEventListener('resize', this.#place);
  };

  /** A popover stands in the top layer, where it has to be told its place. */
  #place = (): void => {
    if (this.panel === null) return;
    const { bottom, left, right } = this.badge.getBoundingClientRect();
    const { style } = this.panel;
    const { clientWidth } = document.documentElement;
    const width = Math.min(WIDTH_PX, clientWidth - 2 * MARGIN_PX);
    const wanted = getComputedStyle(this).direction === 'rtl' ? left : right - width;
    style.width = `${width}px`;
    style.left = `${Math.max(MARGIN_PX, Math.min(wanted, clientWidth - width - MARGIN_PX))}px`;
    style.top = `${bottom + 6}px`;
    style.maxHeight = `calc(100dvh - ${bottom + 20}px)`;
  };
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-backend-badge': AutoglmBackendBadge;
  }
}
