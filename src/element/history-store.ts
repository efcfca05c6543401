import { createStore, del, entries, get, set } from 'idb-keyval';
import { shownTurns, titleOf } from './conversation.ts';
import type { Conversation } from './conversation.ts';
import { viewReply } from './reply-view.ts';

/** What the list shows of a conversation, and what is searched. */
export interface ConversationSummary {
  readonly id: string;
  readonly title: string;
  readonly updatedAt: number;
  /** Lower-case text of the shown branch, cut at a length that keeps the index small. */
  readonly text: string;
}

const SEARCHED_LENGTH = 20_000;

type Store = ReturnType<typeof createStore>;

/**
 * Conversations in IndexedDB, screenshots as blobs. A small index stands beside the conversations, so that a
 * list does not read any picture.
 *
 * Every method rejects where the browser gives no IndexedDB, as in some private windows.
 */
export class HistoryStore {
  readonly #prefix: string;
  #stores: { readonly index: Store; readonly bodies: Store } | null = null;

  /** @param key pages of one origin that use different keys do not see each other's conversations. */
  constructor(key: string) {
    this.#prefix = `${key}/`;
  }

  /** Newest first. */
  async list(): Promise<readonly ConversationSummary[]> {
    const all = await entries<string, ConversationSummary>(this.#open().index);
    return all
      .filter(([key]) => key.startsWith(this.#prefix))
      .map(([, summary]) => summary)
      .toSorted((a, b) => b.updatedAt - a.updatedAt);
  }

  load(id: string): Promise<Conversation | undefined> {
    return get<Conversation>(this.#prefix + id, this.#open().bodies);
  }

  async save(conversation: Conversation): Promise<void> {
    const { index, bodies } = this.#open();
    const key = this.#prefix + conversation.id;
    // The body first: an entry of the index must lead somewhere.
    await set(key, conversation, bodies);
    await set(key, summarise(conversation), index);
  }

  async remove(id: string): Promise<void> {
    const { index, bodies } = this.#open();
    await del(this.#prefix + id, index);
    await del(this.#prefix + id, bodies);
  }

  #open(): { readonly index: Store; readonly bodies: Store } {
    this.#stores ??= {
      index: createStore('autoglm-chat-index', 'summaries'),
      bodies: createStore('autoglm-chat-bodies', 'conversations'),
    };
    return this.#stores;
  }
}

/** The summaries that hold every word of the query. */
export function searchSummaries(
  summaries: readonly ConversationSummary[],
  query: string,
): readonly ConversationSummary[] {
  const wanted = query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return summaries.filter(({ title, text }) => {
    const searched = `${title.toLocaleLowerCase()}\n${text}`;
    return wanted.every((word) => searched.includes(word));
  });
}

function summarise(conversation: Conversation): ConversationSummary {
  const texts = shownTurns(conversation).map((turn) => {
    if (turn.role === 'user') return turn.text;
    const { thinking, prose, actionText } = viewReply(turn.text, true);
    return `${thinking}\n${prose}\n${actionText}`;
  });
  return {
    id: conversation.id,
    title: titleOf(conversation),
    updatedAt: conversation.updatedAt,
    text: texts.join('\n').toLocaleLowerCase().slice(0, SEARCHED_LENGTH),
  };
}
