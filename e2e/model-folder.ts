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

/**
 * Writes a model folder with one shard a given length. Each shard holds three tensors, one of them of an odd
 * number of f16 values, so that the next one starts off a word boundary.
 */
export function createRandomModelFolder(shardByteLengths: readonly number[], seed = 1): RandomModelFolder {
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
    return { dataPath, format: 'raw-shard', nbytes: byteLength, sha256: hashOf(bytes), records: tensors };
  });
  files.set('tensor-cache.json', toBytes(JSON.stringify({ metadata: { quantization: 'q4f16_1' }, records })));
  files.set('config.json', toBytes(JSON.stringify({ model_type: 'random', seed })));
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
