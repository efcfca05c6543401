import type { ReactiveController, ReactiveControllerHost } from 'lit';
import type { Conversation } from './conversation.ts';
import { HistoryStore } from './history-store.ts';
import type { ConversationSummary } from './history-store.ts';

/** Keeps conversations and drafts in this browser. Where that is not possible the chat works all the same. */
export class HistoryController implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  #key: string | null = null;
  #store: HistoryStore | null = null;
  #writes: Promise<unknown> = Promise.resolve();
  #summaries: readonly ConversationSummary[] = [];

  constructor(host: ReactiveControllerHost) {
    this.#host = host;
    host.addController(this);
  }

  hostConnected(): void {}

  /** What is kept, newest first, as of the last `refresh`. */
  get summaries(): readonly ConversationSummary[] {
    return this.#summaries;
  }

  get isEnabled(): boolean {
    return this.#store !== null;
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
    if (store === null) return;
    await this.#writes;
    const summaries = await store.list().catch(() => []);
    if (store !== this.#store) return;
    this.#summaries = summaries;
    this.#host.requestUpdate();
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

  remove(id: string): Promise<void> {
    this.#writeText(`draft:${id}`, '');
    return this.#write((store) => store.remove(id));
  }

  async rename(id: string, title: string): Promise<void> {
    const conversation = await this.load(id);
    if (conversation !== undefined) await this.save({ ...conversation, title: title === '' ? null : title });
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
