import { AutoglmError } from '../base/errors.ts';
import type { CacheFormat } from '../kernels/kernel.ts';
import type { Scheduler } from '../model/scheduler.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { digestPiece } from '../storage/sha256.ts';
import type { SavedConversation } from './session.ts';

/** Raised when what is stored, or how the cache is laid out, changes its form. */
const FORMAT_VERSION = 1;

/** What must be equal for a saved KV cache to be of use. */
export interface CacheIdentity {
  /** Names the model's config and weights. */
  readonly model: string;
  readonly quantization: string;
  readonly cacheFormat: CacheFormat;
}

interface SavedHeader extends SavedConversation {
  readonly version: number;
  readonly identity: CacheIdentity;
  readonly keys: readonly number[];
  /** sha256 of each layer's bytes. */
  readonly digests: readonly string[];
  /** What the caller wants back with it. */
  readonly state: unknown;
}

const HEADER = 'conversation/';
const LAYER = 'conversation-layer/';

/**
 * Keeps the KV cache of conversations in a store, so that a reload goes on without computing them again. The header is
 * written last: what a killed page left half-written is not found.
 */
export class SavedConversations {
  readonly #store: KeyValueStore;
  readonly #scheduler: Scheduler;
  readonly #identity: CacheIdentity;

  constructor(parts: { store: KeyValueStore; scheduler: Scheduler; identity: CacheIdentity }) {
    this.#store = parts.store;
    this.#scheduler = parts.scheduler;
    this.#identity = parts.identity;
  }

  /** Saves what the cache holds of the beginning of `keys`, in place of what was saved under that id. */
  async save(id: string, keys: readonly number[], state: unknown): Promise<SavedConversation> {
    await this.delete(id);
    const digests: string[] = [];
    let byteLength = 0;
    const tokenCount = await this.#scheduler.readCache(keys, async (layer, bytes) => {
      digests[layer] = await digestPiece(bytes);
      byteLength += bytes.byteLength;
      await this.#store.set([[layerKey(id, layer), bytes]]);
    });
    const header: SavedHeader = {
      id,
      savedAt: Date.now(),
      tokenCount,
      byteLength,
      version: FORMAT_VERSION,
      identity: this.#identity,
      keys: keys.slice(0, tokenCount),
      digests,
      state,
    };
    await this.#store.set([[HEADER + id, header]]);
    return toPublic(header);
  }

  /**
   * Puts a saved conversation back into the cache; resolves with the state that was saved with it.
   *
   * @throws AutoglmError `session-missing`; `session-mismatch` when it was saved by another model, quantisation, cache
   *   format or version; `session-corrupt`; `engine-busy`. The cache is then as if nothing had been tried.
   */
  async restore(id: string): Promise<unknown> {
    const header = await this.#store.get<SavedHeader>(HEADER + id);
    if (!header) {
      throw new AutoglmError('session-missing', `No conversation is saved as "${id}".`, { value: id });
    }
    requireSame(header, this.#identity);
    if (header.tokenCount === 0) return header.state;
    await this.#scheduler.writeCache(header.keys, async (layer) => {
      const bytes = await this.#store.get<Uint8Array<ArrayBuffer>>(layerKey(id, layer));
      if (!bytes || (await digestPiece(bytes)) !== header.digests[layer]) {
        throw new AutoglmError('session-corrupt', `The saved conversation "${id}" is damaged.`, {
          value: `layer ${layer} of ${header.digests.length}`,
          limit: 'the bytes that were saved',
          cure: 'Delete it and begin anew.',
        });
      }
      return bytes;
    });
    return header.state;
  }

  async list(): Promise<SavedConversation[]> {
    const ids = await this.#store.keysBelow(HEADER);
    const headers = await Promise.all(ids.map((id) => this.#store.get<SavedHeader>(HEADER + id)));
    return headers.filter((header) => header !== undefined).map(toPublic);
  }

  async delete(id: string): Promise<void> {
    // The header first: layers without one are never read.
    await this.#store.delete([HEADER + id]);
    const layers = await this.#store.keysBelow(layerKey(id, ''));
    if (layers.length > 0) await this.#store.delete(layers.map((layer) => layerKey(id, layer)));
  }
}

function requireSame({ id, version, identity }: SavedHeader, expected: CacheIdentity): void {
  const found = { version, ...identity };
  const wanted = { version: FORMAT_VERSION, ...expected };
  for (const key of ['version', 'model', 'quantization', 'cacheFormat'] as const) {
    if (found[key] === wanted[key]) continue;
    throw new AutoglmError(
      'session-mismatch',
      `The conversation "${id}" was saved with another ${key}: ${found[key]}.`,
      {
        value: found[key],
        limit: wanted[key],
        cure: 'Load the model that it was saved with, or begin anew.',
      },
    );
  }
}

function layerKey(id: string, layer: number | string): string {
  return `${LAYER}${id}/${layer}`;
}

function toPublic({ id, savedAt, tokenCount, byteLength }: SavedHeader): SavedConversation {
  return { id, savedAt, tokenCount, byteLength };
}
