import { AutoglmError } from '../base/errors.ts';
import type { ShardEntry } from './manifest.ts';
import { digestPiece, type CreateSha256, type IncrementalSha256 } from './sha256.ts';

/** Watches the pieces of one shard go by and tells whether they are the right ones: at once, or at its end. */
export class ShardCheck {
  readonly #shard: ShardEntry;
  readonly #hash: IncrementalSha256 | undefined;
  readonly #pieceDigests: readonly string[] | undefined;
  #byteLength = 0;
  #pieceCount = 0;
  /** Pieces that are being hashed. */
  #checking: Promise<void> = Promise.resolve();

  constructor(
    shard: ShardEntry,
    hash: IncrementalSha256 | undefined,
    pieceDigests: readonly string[] | undefined,
  ) {
    this.#shard = shard;
    this.#hash = hash;
    this.#pieceDigests = pieceDigests;
  }

  /** A shard whose manifest lists no hash is checked for its length alone. */
  static async create(shard: ShardEntry, createSha256: CreateSha256 | undefined): Promise<ShardCheck> {
    if (createSha256 === undefined) return new ShardCheck(shard, undefined, undefined);
    if (shard.pieceDigests) return new ShardCheck(shard, undefined, shard.pieceDigests);
    const isHashed = shard.sha256 !== undefined;
    return new ShardCheck(shard, isHashed ? await createSha256() : undefined, undefined);
  }

  /**
   * Takes the next piece and gives its sha256; its memory can be used again at once.
   *
   * @throws AutoglmError `shard-corrupt` when the shard's digests are listed and this is another.
   */
  async judge(piece: Uint8Array<ArrayBuffer>): Promise<string> {
    const expected = this.#pieceDigests?.[this.#pieceCount];
    this.#count(piece);
    const digest = await digestPiece(piece);
    if (this.#pieceDigests && digest !== expected) throw this.#corrupt(digest, expected);
    return digest;
  }

  /** Takes the next piece and judges it by `finish`; its memory can be used again at once. */
  update(piece: Uint8Array<ArrayBuffer>): void {
    if (this.#pieceDigests === undefined) return this.#count(piece);
    const judging = this.judge(piece);
    this.#checking = this.#checking.then(async () => void (await judging));
    // Reported by `finish`, unless the shard ends otherwise.
    judging.catch(() => {});
    this.#checking.catch(() => {});
  }

  #count(piece: Uint8Array): void {
    this.#pieceCount += 1;
    this.#byteLength += piece.byteLength;
    this.#hash?.update(piece);
  }

  /** @throws AutoglmError `shard-truncated` or `shard-corrupt`. */
  async finish(label: string): Promise<void> {
    const { dataPath, byteLength, sha256 } = this.#shard;
    if (this.#byteLength !== byteLength) throw truncated(this.#shard, this.#byteLength, label);
    await this.#checking;
    const actual = this.#hash?.digestHex();
    if (actual !== undefined && actual !== sha256)
      throw this.#corrupt(actual, sha256, `${dataPath} of ${label}`);
  }

  #corrupt(
    actual: string,
    expected: string | undefined,
    what = `Piece ${this.#pieceCount - 1} of ${this.#shard.dataPath}`,
  ): AutoglmError {
    return new AutoglmError('shard-corrupt', `${what} has sha256 ${actual}, not ${expected}.`, {
      value: actual,
      limit: expected,
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
