import type { KeyValueStore } from './key-value-store.ts';

/** Reads the bytes of a kept shard in order. */
export interface ShardReader {
  /**
   * Fills `buffer` with the next bytes; only the end of the shard leaves it short. The buffer is taken over:
   * use the returned view, whose memory may be another.
   */
  read(buffer: ArrayBuffer): Promise<Uint8Array<ArrayBuffer>>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** A whole, once verified shard. */
export interface CachedShard {
  readonly byteLength: number;
  /** sha256 of each `PIECE_BYTES` piece, so that a piece read back is judged by itself, at once. */
  readonly pieceDigests: readonly string[];
  openReader(): Promise<ShardReader>;
}

/** A shard that is being fetched. Held by one tab at a time: take the shard's lock first. */
export interface PartialShard {
  /** Bytes taken so far, whole pieces only, with those that an earlier page left. */
  readonly byteLength: number;
  readonly pieceDigests: readonly string[];
  /** Takes the next piece; it is copied before the promise resolves. */
  append(piece: Uint8Array<ArrayBuffer>, digest: string): Promise<void>;
  openReader(): Promise<ShardReader>;
  /** Makes it a whole shard, after its hash was found right. */
  commit(): Promise<void>;
  /** Throws its bytes away. */
  discard(): Promise<void>;
  /** Keeps what was taken, for a later `openPartial`. Idempotent; nothing to do after `commit` or `discard`. */
  close(): Promise<void>;
}

/** One shard, or part of one, in the cache. */
export interface ShardListing {
  readonly key: string;
  readonly byteLength: number;
  readonly isWhole: boolean;
}

/** Keeps shards by content hash, so that models and revisions share equal ones. */
export interface ShardCache {
  readonly kind: 'indexeddb' | 'opfs' | 'files';
  /** Small records beside the shards: models, their texts. */
  readonly store: KeyValueStore;
  /** @throws AutoglmError `storage-unavailable`, as all methods. */
  get(key: string): Promise<CachedShard | undefined>;
  /** Bytes of the shard, whole or partial, that need not be fetched again. */
  keptBytes(key: string): Promise<number>;
  /** Continues what an earlier page left, or starts anew. */
  openPartial(key: string): Promise<PartialShard>;
  /** Removes a shard, whole or partial. */
  delete(key: string): Promise<void>;
  list(): Promise<ShardListing[]>;
}
