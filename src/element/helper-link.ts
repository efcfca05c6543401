import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { isAbortError, toError } from '../base/errors.ts';
import { awaitLink, beginLink, linkByCode } from '../engine/link-helper.ts';
import { queryLocalPermission } from '../engine/local-network.ts';
import { controlStyles } from './controls.styles.ts';
import { HelperLinkedEvent } from './helper-linked-event.ts';
import { helperLinkStyles } from './helper-link.styles.ts';
import type { Localizer } from './strings/localizer.ts';

/** Large enough for the helper's page, and small enough to be seen as a question. */
const WINDOW = 'popup,width=520,height=560';
const LOCAL_ADDRESS = 'http://127.0.0.1';

/**
 * @summary Links the page with the local helper: the first click opens the helper's own page, the second one there
 *   allows it; or the code is typed in here.
 *
 * @event {HelperLinkedEvent} helper-linked - The page is linked.
 */
@customElement('autoglm-helper-link')
export class AutoglmHelperLink extends LitElement {
  static override styles = [controlStyles, helperLinkStyles];

  @property({ attribute: false }) helperUrl = '';
  @property({ attribute: false }) words!: Localizer;

  @state() status: 'idle' | 'waiting' | 'blocked' = 'idle';
  @state() fault = '';
  /** The browser will ask its user with the next request. */
  @state() willPrompt = false;
  /** Where the helper's page is, for a browser that opens no window. */
  @state() address = '';

  @query('input') input!: HTMLInputElement;

  #waiting: AbortController | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#readPermission();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#waiting?.abort();
  }

  override render(): TemplateResult {
    const { words } = this;
    return html`<div class="card">
      <p>${words.say('linkHelperText')} <code>autoglm serve</code></p>
      ${this.willPrompt ? html`<p class="prompt">${words.say('localPrompt')}</p>` : nothing}
      <button type="button" class="button primary" @click=${this.#open}>${words.say('linkHelper')}</button>
      <p role="status">
        ${this.status === 'waiting' ? words.say('linkWaiting') : nothing}
        ${this.status === 'blocked' ? html`<a href=${this.address}>${words.say('linkOpenHere')}</a>` : nothing}
      </p>
      <details>
        <summary>${words.say('linkByCode')}</summary>
        <form @submit=${this.#claim}>
          <label
            >${words.say('linkCode')}
            <input
              inputmode="numeric"
              autocomplete="off"
              pattern="[0-9]{6}"
              maxlength="6"
              required
              placeholder="000000"
            />
          </label>
          <button type="submit" class="button">${words.say('link')}</button>
        </form>
      </details>
      ${this.fault === '' ? nothing : html`<p class="fault" role="alert">${this.fault}</p>`}
    </div>`;
  }

  #open = (): void => {
    this.#waiting?.abort();
    this.#waiting = new AbortController();
    const pending = beginLink(this.helperUrl);
    this.address = pending.url;
    this.fault = '';
    // Not `noopener`: the helper's page hands the token to this one.
    this.status = window.open(pending.url, 'autoglm-helper', WINDOW) === null ? 'blocked' : 'waiting';
    awaitLink(this.helperUrl, pending, this.#waiting.signal).then(this.#succeed, this.#fail);
  };

  #claim = (event: SubmitEvent): void => {
    event.preventDefault();
    this.fault = '';
    linkByCode(this.helperUrl, this.input.value).then(this.#succeed, this.#fail);
  };

  #succeed = (): void => {
    this.status = 'idle';
    this.dispatchEvent(new HelperLinkedEvent());
  };

  #fail = (thrown: unknown): void => {
    if (isAbortError(thrown)) return;
    this.status = 'idle';
    this.fault = toError(thrown).message;
  };

  async #readPermission(): Promise<void> {
    this.willPrompt = (await queryLocalPermission(this.helperUrl || LOCAL_ADDRESS)) === 'prompt';
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-helper-link': AutoglmHelperLink;
  }
}
