import { AutoglmError } from '../base/errors.ts';
import type { ShardEntry } from './manifest.ts';
import type { CreateSha256, IncrementalSha256 } from './sha256.ts';

/** Watches the bytes of one shard go by and tells at its end whether they were the right ones. */
export class ShardCheck {
  readonly #shard: ShardEntry;
  readonly #hash: IncrementalSha256 | undefined;
  #byteLength = 0;

  constructor(shard: ShardEntry, hash: IncrementalSha256 | undefined) {
    this.#shard = shard;
    this.#hash = hash;
  }

  /** A shard whose manifest lists no hash is checked for its length alone. */
  static async create(shard: ShardEntry, createSha256: CreateSha256 | undefined): Promise<ShardCheck> {
    const isHashed = shard.sha256 !== undefined && createSha256 !== undefined;
    return new ShardCheck(shard, isHashed ? await createSha256() : undefined);
  }

  update(bytes: Uint8Array): void {
    this.#byteLength += bytes.byteLength;
    this.#hash?.update(bytes);
  }

  /** @throws AutoglmError `shard-truncated` or `shard-corrupt`. */
  finish(label: string): void {
    const { dataPath, byteLength, sha256 } = this.#shard;
    if (this.#byteLength !== byteLength) throw truncated(this.#shard, this.#byteLength, label);
    const actual = this.#hash?.digestHex();
    if (actual === undefined || actual === sha256) return;
    throw new AutoglmError('shard-corrupt', `${dataPath} of ${label} has sha256 ${actual}, not ${sha256}.`, {
      value: actual,
      limit: sha256,
      cure: 'Upload or convert this file again; the copy at its source is damaged.',
    });
  }
}

function truncated({ dataPath, byteLength }: ShardEntry, actual: number, label: string): AutoglmError {
  return new AutoglmError(
    'shard-truncated',
    `${dataPath} of ${label} has ${actual} of ${byteLength} bytes.`,
    {
      value: actual,
      limit: byteLength,
      cure: 'Upload or convert this file again.',
    },
  );
}
