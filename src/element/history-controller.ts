import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { AutoglmError } from '../base/errors.ts';
import { createConversation } from './conversation.ts';
import type { Conversation } from './conversation.ts';
import type { HistoryCommand } from './history-command-event.ts';
import { fromHistoryFile, toHistoryText } from './history-file.ts';
import { HistoryStore } from './history-store.ts';
import type { ConversationSummary } from './history-store.ts';
import { saveFile } from './save-file.ts';

/** Who shows the conversations. */
export interface HistoryOwner extends ReactiveControllerHost {
  readonly conversation: Conversation;
  /** Shows another conversation, with its draft. */
  show(conversation: Conversation): void;
  /** Sets the title of the shown conversation. */
  rename(title: string): void;
}

/** Keeps conversations and drafts in this browser. Where that is not possible the chat works all the same. */
export class HistoryController implements ReactiveController {
  readonly #host: HistoryOwner;
  #key: string | null = null;
  #store: HistoryStore | null = null;
  #writes: Promise<unknown> = Promise.resolve();
  #summaries: readonly ConversationSummary[] = [];
  #fault = '';

  constructor(host: HistoryOwner) {
    this.#host = host;
    host.addController(this);
  }

  hostConnected(): void {}

  /** What is kept, newest first, as of the last `refresh`. */
  get summaries(): readonly ConversationSummary[] {
    return this.#summaries;
  }

  /** Why the last import failed; empty without a failure. */
  get fault(): string {
    return this.#fault;
  }

  get isEnabled(): boolean {
    return this.#store !== null;
  }

  /** Resolves once every write that was asked for has ended. */
  get saved(): Promise<void> {
    return this.#writes.then(() => {});
  }

  /** Uses another set of conversations; the empty key keeps nothing. */
  use(key: string): void {
    if (key === this.#key) return;
    this.#key = key;
    this.#store = key === '' ? null : new HistoryStore(key);
    this.#summaries = [];
  }

  async refresh(): Promise<void> {
    const store = this.#store;
    this.#host.requestUpdate();
    if (store === null) return;
    await this.#writes;
    const summaries = await store.list().catch(() => []);
    if (store !== this.#store) return;
    this.#summaries = summaries;
    this.#host.requestUpdate();
  }

  /**
   * Does what the history's buttons ask for.
   *
   * @returns true where the panel has done its work and closes.
   */
  async run(command: HistoryCommand): Promise<boolean> {
    const { conversation } = this.#host;
    this.#fault = '';
    switch (command.name) {
      case 'open':
        this.#host.show((await this.load(command.id)) ?? conversation);
        return true;
      case 'remove':
        if (command.id === conversation.id) this.#host.show(createConversation());
        await this.#remove(command.id);
        break;
      case 'rename':
        if (command.id === conversation.id) this.#host.rename(command.title);
        else await this.#rename(command.id, command.title);
        break;
      case 'export':
        saveFile(await toHistoryText(conversation, command.format), command.format);
        break;
      case 'import':
        if (await this.#import(command.file)) return true;
        break;
    }
    await this.refresh();
    return false;
  }

  /** Goes on where this tab was before it was loaded again. */
  async restore(): Promise<void> {
    await this.#host.updateComplete;
    const id = this.lastShownId;
    const begun = this.#host.conversation;
    const kept = id === null ? undefined : await this.load(id);
    if (this.#host.conversation === begun && begun.turns.length === 0) this.#host.show(kept ?? begun);
  }

  /** Keeps the conversation; an empty one is not worth it. Writes happen one after another. */
  save(conversation: Conversation): Promise<void> {
    return conversation.turns.length === 0
      ? Promise.resolve()
      : this.#write((store) => store.save(conversation));
  }

  async load(id: string): Promise<Conversation | undefined> {
    await this.#writes;
    return this.#store?.load(id).catch(() => undefined);
  }

  #remove(id: string): Promise<void> {
    this.#writeText(`draft:${id}`, '');
    return this.#write((store) => store.remove(id));
  }

  async #rename(id: string, title: string): Promise<void> {
    const conversation = await this.load(id);
    if (conversation !== undefined) await this.save({ ...conversation, title: title === '' ? null : title });
  }

  async #import(file: File): Promise<boolean> {
    try {
      this.#host.show(await fromHistoryFile(await file.text()));
      return true;
    } catch (error) {
      if (!(error instanceof AutoglmError)) throw error;
      this.#fault = error.message;
      return false;
    }
  }

  /** The conversation that this tab showed before it was loaded again. */
  get lastShownId(): string | null {
    return this.#key === '' ? null : readStorage(() => sessionStorage.getItem(this.#name('shown')));
  }

  set lastShownId(id: string | null) {
    if (this.#key === '') return;
    readStorage(() => {
      if (id === null) sessionStorage.removeItem(this.#name('shown'));
      else sessionStorage.setItem(this.#name('shown'), id);
      return null;
    });
  }

  /** The text that was begun in a conversation and not sent. */
  readDraft(conversation: Conversation): string {
    return readStorage(() => localStorage.getItem(this.#name(draftName(conversation)))) ?? '';
  }

  /** Kept at once and not in IndexedDB: the tab may close with the next key. */
  writeDraft(conversation: Conversation, text: string): void {
    this.#writeText(draftName(conversation), text);
  }

  #writeText(name: string, text: string): void {
    if (this.#key === '') return;
    readStorage(() => {
      if (text === '') localStorage.removeItem(this.#name(name));
      else localStorage.setItem(this.#name(name), text);
      return null;
    });
  }

  #name(name: string): string {
    return `autoglm-chat:${this.#key ?? ''}:${name}`;
  }

  #write(task: (store: HistoryStore) => Promise<void>): Promise<void> {
    const store = this.#store;
    if (store === null) return Promise.resolve();
    const write = this.#writes.then(() => task(store)).catch(() => {});
    this.#writes = write;
    return write;
  }
}

/** A new conversation has a new id at every visit; its draft is found again all the same. */
function draftName(conversation: Conversation): string {
  return `draft:${conversation.turns.length === 0 ? 'new' : conversation.id}`;
}

/** Storage may be switched off, which makes even the access throw. */
function readStorage(read: () => string | null): string | null {
  try {
    return read();
  } catch {
    return null;
  }
}
