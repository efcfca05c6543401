import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { repeat } from 'lit/directives/repeat.js';
import { isAbortError, toError } from '../base/errors.ts';
import type { StorageManager, StorageUsage, StoredModel } from '../engine/model-storage.ts';
import { controlStyles } from './controls.styles.ts';
import { icon } from './icons.ts';
import type { IconName } from './icons.ts';
import { modelName } from './model-facts.ts';
import { canWriteFolders, pickFolder, pickFolderToWrite } from './pick-folder.ts';
import { sidePanelStyles } from './side-panel.styles.ts';
import { openSidePanel } from './side-panel.ts';
import { storagePanelStyles } from './storage-panel.styles.ts';
import type { Localizer } from './strings/localizer.ts';

/** The cache's code is loaded only for somebody who looks into it. */
async function openStorage(): Promise<StorageManager> {
  const { openModelStorage } = await import('../engine/model-storage.ts');
  return openModelStorage();
}

/**
 * @summary The models that this browser keeps: their bytes, deleting, saving as a folder, adding a folder.
 *
 * @csspart storage - The panel.
 */
@customElement('autoglm-storage-panel')
export class AutoglmStoragePanel extends LitElement {
  static override styles = [controlStyles, sidePanelStyles, storagePanelStyles];

  @property({ attribute: false }) words!: Localizer;
  /** Address of the element's model: a folder of its name is kept under it, and then loads without a network. */
  @property({ attribute: false }) modelUrl = '';
  @state() models: readonly StoredModel[] = [];
  @state() usage: StorageUsage | null = null;
  /** Of which model deleting has been asked for once. */
  @state() doomedId: string | null = null;
  /** What has just happened, in words. */
  @state() told = '';
  @state() fault = '';

  @query('dialog') dialog!: HTMLDialogElement;

  #storage: Promise<StorageManager> | null = null;
  #copying: AbortController | null = null;

  /** Opens along the given element. Escape closes, and the focus returns. */
  show(host: Element): void {
    this.doomedId = null;
    this.told = '';
    this.fault = '';
    openSidePanel(this.dialog, host);
    void this.#try(() => this.#refresh());
  }

  override render(): TemplateResult {
    const { words } = this;
    return html`<dialog
      part="storage"
      aria-label=${words.say('manageModels')}
      @click=${(event: Event) => event.target === this.dialog && this.dialog.close()}
      @close=${() => this.#copying?.abort()}
    >
      <div class="panel">
        <header>
          <h2>${words.say('manageModels')}</h2>
          ${this.#iconButton('close', words.say('close'), () => this.dialog.close())}
        </header>
        ${this.#renderUsage()}
        ${
          this.models.length === 0
            ? html`<p class="none">${words.say('noModels')}</p>`
            : html`<ul>
                ${repeat(
                  this.models,
                  ({ id }) => id,
                  (model) => this.#renderModel(model),
                )}
              </ul>`
        }
        <footer>
          <p class="told" role="status">${this.told}</p>
          ${this.fault === '' ? nothing : html`<p class="fault" role="alert">${this.fault}</p>`}
          ${this.#button('folder', words.say('addFolder'), () => this.#add())}
          ${this.#button('trash', words.say('deleteLeftovers'), () => this.#deleteLeftovers())}
        </footer>
      </div>
    </dialog>`;
  }

  #renderUsage(): TemplateResult {
    const { words, usage } = this;
    if (usage === null) return html`<div class="use" hidden></div>`;
    return html`<div class="use">
      <p class="bytes">${words.say('modelsUse', { bytes: words.bytes(usage.usedBytes) })}</p>
      <p>${words.say(usage.isPersisted ? 'isPersisted' : 'notPersisted')}</p>
      ${
        usage.isPersisted
          ? nothing
          : html`<button type="button" class="button" @click=${() => this.#try(() => this.#persist())}>
              ${icon('lock')}${words.say('persist')}
            </button>`
      }
    </div>`;
  }

  #renderModel(model: StoredModel): TemplateResult {
    const { words } = this;
    const name = modelName(model.id);
    const kept = model.isComplete
      ? words.say('keptBytes', { bytes: words.bytes(model.keptBytes) })
      : words.say('partlyKept', {
          kept: words.bytes(model.keptBytes),
          total: words.bytes(model.byteLength),
        });
    const isDoomed = model.id === this.doomedId;
    return html`<li>
      <span class="model">
        <bdi class="name" title=${model.id}>${name}</bdi>
        <span class="kept">${kept} · ${words.date(model.lastUsed)}</span>
      </span>
      ${
        isDoomed
          ? html`<button
              type="button"
              class="button danger"
              @click=${() => this.#try(() => this.#delete(model.id))}
            >
              ${words.say('confirmDelete', { bytes: words.bytes(model.ownBytes) })}
            </button>`
          : html`${
              model.isComplete && canWriteFolders()
                ? this.#iconButton('export', words.say('saveAsFolder', { name }), () => this.#export(model))
                : nothing
            }${this.#iconButton('trash', words.say('deleteModel', { name }), () => this.#askDelete(model.id))}`
      }
    </li>`;
  }

  #iconButton(name: IconName, label: string, run: () => unknown): TemplateResult {
    return html`<button
      type="button"
      class="icon-button"
      title=${label}
      aria-label=${label}
      @click=${() => this.#try(run)}
    >
      ${icon(name)}
    </button>`;
  }

  #button(name: IconName, label: string, run: () => unknown): TemplateResult {
    return html`<button type="button" class="button" @click=${() => this.#try(run)}>
      ${icon(name)}${label}
    </button>`;
  }

  async #try(run: () => unknown): Promise<void> {
    this.fault = '';
    try {
      await run();
    } catch (thrown) {
      if (!isAbortError(thrown)) this.fault = toError(thrown).message;
    }
  }

  #open(): Promise<StorageManager> {
    this.#storage ??= openStorage();
    return this.#storage;
  }

  async #refresh(): Promise<void> {
    const storage = await this.#open();
    [this.models, this.usage] = await Promise.all([storage.listModels(), storage.usage()]);
  }

  async #askDelete(id: string): Promise<void> {
    this.doomedId = id;
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>('.danger')?.focus();
  }

  async #delete(id: string): Promise<void> {
    const freed = await (await this.#open()).deleteModel(id);
    this.doomedId = null;
    this.#tellFreed(freed);
    await this.#refresh();
    // Its button is gone; without this the focus would fall back to the page.
    this.renderRoot.querySelector<HTMLElement>('footer button')?.focus();
  }

  async #deleteLeftovers(): Promise<void> {
    this.#tellFreed(await (await this.#open()).deleteOrphans());
    await this.#refresh();
  }

  async #persist(): Promise<void> {
    const isPersisted = await (await this.#open()).persist();
    if (!isPersisted) this.told = this.words.say('persistRefused');
    await this.#refresh();
  }

  async #export(model: StoredModel): Promise<void> {
    const folder = await pickFolderToWrite();
    if (folder === null) return;
    await this.#copy((options) =>
      this.#open().then((storage) => storage.exportModel(model.id, folder, options)),
    );
  }

  async #add(): Promise<void> {
    const chosen = await pickFolder();
    if (chosen === null) return;
    const { openModelFolder, toKeptId } = await import('../engine/model-storage.ts');
    const source = openModelFolder(chosen);
    const id = source.label === modelName(this.modelUrl) ? toKeptId(this.modelUrl) : source.id;
    await this.#copy((options) =>
      this.#open().then((storage) => storage.importModel(source, { ...options, id })),
    );
  }

  async #copy(
    run: (options: Parameters<StorageManager['importModel']>[1] & object) => Promise<void>,
  ): Promise<void> {
    const copying = new AbortController();
    this.#copying?.abort();
    this.#copying = copying;
    const { words } = this;
    await run({
      signal: copying.signal,
      onProgress: ({ loadedBytes, totalBytes }) => {
        const values = { done: words.bytes(loadedBytes), total: words.bytes(totalBytes) };
        this.told = words.say('copying', values);
      },
    });
    await this.#refresh();
  }

  #tellFreed(bytes: number): void {
    this.told = this.words.say('freedBytes', { bytes: this.words.bytes(bytes) });
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-storage-panel': AutoglmStoragePanel;
  }
}
