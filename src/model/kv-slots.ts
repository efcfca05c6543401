/** A part of the KV cache and what it holds. */
export interface KvSlot {
  readonly index: number;
  /**
   * One key for each token in the cache, in order. Tokens of text are their ids; tokens of an image are keyed by its
   * content, because two images have the same token ids.
   */
  readonly keys: number[];
  /** A sequence writes to it. */
  readonly isBusy: boolean;
}

/** A slot that was given to a sequence, and where the beginning of the sequence can be had. */
export interface SlotGrant {
  readonly slot: KvSlot;
  /** Slot that holds the sequence's first `count` tokens; it may be the granted one. */
  readonly source: KvSlot;
  readonly count: number;
}

interface OwnedSlot extends KvSlot {
  isBusy: boolean;
  /** Readers of what it holds. */
  holdCount: number;
  lastUsed: number;
}

/**
 * Deals the slots of the KV cache out to sequences. A sequence continues the slot with the longest common beginning,
 * unless that would throw most of another conversation away: then the least recently used slot gives way, and the
 * common beginning is copied into it.
 */
export class KvSlots {
  readonly #slots: readonly OwnedSlot[];
  #clock = 0;

  constructor(count: number) {
    this.#slots = Array.from({ length: count }, (_, index) => ({
      index,
      keys: [],
      isBusy: false,
      holdCount: 0,
      lastUsed: -1,
    }));
  }

  get all(): readonly KvSlot[] {
    return this.#slots;
  }

  /** Tokens that all slots hold together. */
  get tokenCount(): number {
    return this.#slots.reduce((total, { keys }) => total + keys.length, 0);
  }

  /** Longest beginning of `keys` that any slot holds, of at most `most` tokens. */
  match(keys: readonly number[], most: number): { source: KvSlot; count: number } {
    let best: { source: OwnedSlot; count: number } = { source: this.#slots[0], count: 0 };
    for (const source of this.#slots) {
      const count = Math.min(most, countCommon(source.keys, keys));
      // At equal length a free slot is better: what it holds need not be copied.
      if (count > best.count || (count === best.count && best.source.isBusy)) best = { source, count };
    }
    return best;
  }

  /** Gives a slot to a sequence until `release`; undefined while all are busy. Its keys are left as they are. */
  acquire(keys: readonly number[], most = keys.length - 1): SlotGrant | undefined {
    const { source, count } = this.match(keys, most);
    const slot = this.#choose(source as OwnedSlot, count);
    if (!slot) return undefined;
    slot.isBusy = true;
    slot.lastUsed = ++this.#clock;
    return { slot, source, count };
  }

  /**
   * Gives a slot to work that may cost nobody anything: the one that holds `spent`, which nobody needs any more, or one
   * that ends where `keys` go on, or an empty one; undefined where there is none of these.
   */
  acquireSpare(keys: readonly number[], spent: readonly number[] | undefined): SlotGrant | undefined {
    const { source, count } = this.match(keys, keys.length);
    const free = this.#slots.filter(isFree);
    const slot =
      free.find((one) => spent !== undefined && countCommon(one.keys, spent) === spent.length) ??
      free.find((one) => one === source && count === one.keys.length) ??
      free.find((one) => one.keys.length === 0);
    if (!slot) return undefined;
    slot.isBusy = true;
    slot.lastUsed = ++this.#clock;
    const isOwn = countCommon(slot.keys, keys) >= count;
    return { slot, source: isOwn ? slot : source, count };
  }

  /** Notes that a slot is about to be overwritten behind its first `count` tokens. */
  truncate(slot: KvSlot, count: number): void {
    slot.keys.length = Math.min(count, slot.keys.length);
  }

  /** Keeps what a slot holds from being overwritten, until as many calls of `unhold`. */
  hold(slot: KvSlot): void {
    this.#slots[slot.index].holdCount++;
  }

  unhold(slot: KvSlot): void {
    this.#slots[slot.index].holdCount--;
  }

  release(slot: KvSlot): void {
    const owned = this.#slots[slot.index];
    owned.isBusy = false;
    owned.lastUsed = ++this.#clock;
  }

  #choose(source: OwnedSlot, count: number): OwnedSlot | undefined {
    // The same conversation went on, or was edited near its end.
    const continues = isFree(source) && count > 0 && count * 2 >= source.keys.length;
    if (continues) return source;
    const free = this.#slots.filter(isFree);
    const isEmpty = ({ keys }: OwnedSlot): boolean => keys.length === 0;
    return free.find(isEmpty) ?? free.toSorted((a, b) => a.lastUsed - b.lastUsed)[0];
  }
}

function isFree({ isBusy, holdCount }: OwnedSlot): boolean {
  return !isBusy && holdCount === 0;
}

/** Length of the longest common beginning. */
export function countCommon(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let count = 0;
  while (count < most && a[count] === b[count]) count++;
  return count;
}
