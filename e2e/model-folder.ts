import { createHash } from 'node:crypto';

/** A small model folder of random bytes, as files by path. */
export interface RandomModelFolder {
  readonly files: Map<string, Uint8Array>;
  /** Paths of the shards in order. */
  readonly shardPaths: readonly string[];
  /** Sum of the shards' bytes. */
  readonly byteLength: number;
  /** sha256 of each tensor by name, to compare what a consumer got with. */
  readonly tensorHashes: ReadonlyMap<string, string>;
}

/** Bytes of a piece as `autoglm convert` lists them. */
const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * Writes a model folder with one shard a given length, with a list of its files and the sha256 of each piece, as
 * `autoglm convert` does, or without (`isPlain`), as it did before. Each shard holds three tensors, one of them of an odd
 * number of f16 values, so that the next one starts off a word boundary.
 */
export function createRandomModelFolder(
  shardByteLengths: readonly number[],
  seed = 1,
  { isPlain = false } = {},
): RandomModelFolder {
  const files = new Map<string, Uint8Array>();
  const tensorHashes = new Map<string, string>();
  const random = createRandomBytes(seed);
  const records = shardByteLengths.map((byteLength, index) => {
    const dataPath = `params_shard_${index}.bin`;
    const bytes = random(byteLength);
    files.set(dataPath, bytes);
    const tensors = cutTensors(byteLength, index);
    for (const { name, byteOffset, nbytes } of tensors) {
      tensorHashes.set(name, hashOf(bytes.subarray(byteOffset, byteOffset + nbytes)));
    }
    const pieces = isPlain ? {} : { pieceBytes: PIECE_BYTES, pieceSha256: hashPieces(bytes) };
    const sha256 = hashOf(bytes);
    return { dataPath, format: 'raw-shard', nbytes: byteLength, sha256, ...pieces, records: tensors };
  });
  const config = toBytes(JSON.stringify({ model_type: 'random', seed }));
  files.set('config.json', config);
  const metadata = {
    quantization: 'q4f16_1',
    ...(!isPlain && { files: { 'config.json': hashOf(config) } }),
  };
  files.set('tensor-cache.json', toBytes(JSON.stringify({ metadata, records })));
  return {
    files,
    shardPaths: records.map((record) => record.dataPath),
    byteLength: shardByteLengths.reduce((total, byteLength) => total + byteLength, 0),
    tensorHashes,
  };
}

/** Lower-case hex sha256. */
export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** sha256 of each piece of a shard. */
export function hashPieces(bytes: Uint8Array): string[] {
  return Array.from({ length: Math.ceil(bytes.byteLength / PIECE_BYTES) }, (_, index) =>
    hashOf(bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES)),
  );
}

/** What a cache knows a shard by whose pieces are listed. */
export function shardKey(bytes: Uint8Array): string {
  return `pieces-${hashOf(toBytes(hashPieces(bytes).join()))}`;
}

function cutTensors(byteLength: number, shardIndex: number) {
  const first = 4 * Math.floor(byteLength / 12) + 2;
  const second = 4 * Math.floor(byteLength / 16);
  const cuts = [0, first, first + second, byteLength - (byteLength % 2)];
  return ['a', 'b', 'c'].map((letter, index) => {
    const byteOffset = cuts[index] as number;
    const nbytes = (cuts[index + 1] as number) - byteOffset;
    const name = `shard${shardIndex}.${letter}`;
    return { name, shape: [nbytes / 2], dtype: 'float16', format: 'raw', nbytes, byteOffset };
  });
}

/** Reproducible bytes (xorshift32), fast enough for hundreds of megabytes. */
function createRandomBytes(seed: number): (byteLength: number) => Uint8Array {
  let state = seed >>> 0 || 1;
  return (byteLength) => {
    const words = new Uint32Array(Math.ceil(byteLength / 4));
    for (let index = 0; index < words.length; index += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[index] = state >>> 0;
    }
    return new Uint8Array(words.buffer, 0, byteLength);
  };
}

function toBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
