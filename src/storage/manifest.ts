import { AutoglmError } from '../base/errors.ts';
import { product } from '../base/maths.ts';
import { PIECE_BYTES } from './pieces.ts';

/** Element types that a model folder may hold. */
export type TensorDtype = 'uint32' | 'float16' | 'float32';

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<TensorDtype, number>> = { uint32: 4, float16: 2, float32: 4 };

/** One tensor of a model folder and where its bytes are. */
export interface TensorEntry {
  readonly name: string;
  /** Row-major shape. */
  readonly shape: readonly number[];
  readonly dtype: TensorDtype;
  /** Index into `Manifest.shards`. */
  readonly shardIndex: number;
  /** Offset in bytes from the start of the shard. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** One `params_shard_N.bin` file. */
export interface ShardEntry {
  /** File name relative to the model folder. */
  readonly dataPath: string;
  readonly byteLength: number;
  /** Lower-case hex sha256 of the whole file; absent in folders that MLC's own tools wrote. */
  readonly sha256: string | undefined;
  /**
   * sha256 of each `PIECE_BYTES` piece, where the folder lists them: a piece is then judged when it comes, and by
   * the platform's own hash off the thread, which wants all bytes at once.
   */
  readonly pieceDigests?: readonly string[] | undefined;
  /** Tensors of the shard by rising offset. */
  readonly tensors: readonly TensorEntry[];
}

/** `tensor-cache.json`, checked. */
export interface Manifest {
  readonly shards: readonly ShardEntry[];
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** `metadata.quantization` (ours) where present, such as `q4f16_1`. */
  readonly quantization: string | undefined;
  /** Names of the folder's other files, where it lists them: what is not among them need not be asked for. */
  readonly files: ReadonlySet<string> | undefined;
  /** Sum of all shards' bytes. */
  readonly byteLength: number;
}

interface RawRecord {
  name: string;
  shape: number[];
  dtype: string;
  format: string;
  nbytes: number;
  byteOffset: number;
}

interface RawShard {
  dataPath: string;
  format: string;
  nbytes: number;
  sha256?: string;
  pieceBytes?: number;
  pieceSha256?: string[];
  records: RawRecord[];
}

/**
 * Reads the text of `tensor-cache.json` (MLC's format, with our `sha256` a shard).
 *
 * @throws AutoglmError `manifest-invalid` when the text is not such a manifest or contradicts itself.
 */
export function parseManifest(text: string): Manifest {
  const raw = parseJson(text);
  if (!isObject(raw) || !Array.isArray(raw['records'])) throw invalid('it has no "records" list');
  const shards = (raw['records'] as RawShard[]).map(parseShard);
  const tensors = new Map<string, TensorEntry>();
  for (const tensor of shards.flatMap((shard) => shard.tensors)) {
    if (tensors.has(tensor.name)) throw invalid(`tensor "${tensor.name}" is listed twice`);
    tensors.set(tensor.name, tensor);
  }
  const metadata = isObject(raw['metadata']) ? raw['metadata'] : {};
  const { quantization, files } = metadata;
  return {
    shards,
    tensors,
    quantization: typeof quantization === 'string' ? quantization : undefined,
    files: isObject(files) ? new Set(Object.keys(files)) : undefined,
    byteLength: shards.reduce((total, shard) => total + shard.byteLength, 0),
  };
}

function parseShard(raw: RawShard, shardIndex: number): ShardEntry {
  if (!isObject(raw) || typeof raw.dataPath !== 'string' || !Array.isArray(raw.records)) {
    throw invalid(`record ${shardIndex} is not a shard`);
  }
  if (!/^[\w.-]+$/.test(raw.dataPath)) throw invalid(`shard path "${raw.dataPath}" is not a plain file name`);
  if (raw.sha256 !== undefined && !SHA256.test(raw.sha256)) {
    throw invalid(`shard "${raw.dataPath}" has a malformed sha256`);
  }
  const tensors = raw.records
    .map((record) => parseTensor(record, raw, shardIndex))
    .toSorted((a, b) => a.byteOffset - b.byteOffset);
  const { dataPath, nbytes: byteLength, sha256 } = raw;
  return { dataPath, byteLength, sha256, pieceDigests: parsePieces(raw), tensors };
}

/** Digests of pieces of another size than ours are of no use. */
function parsePieces({ dataPath, nbytes, pieceBytes, pieceSha256 }: RawShard): string[] | undefined {
  if (pieceSha256 === undefined || pieceBytes !== PIECE_BYTES) return undefined;
  const isWhole =
    Array.isArray(pieceSha256) &&
    pieceSha256.length === Math.ceil(nbytes / PIECE_BYTES) &&
    pieceSha256.every((digest) => SHA256.test(digest));
  if (!isWhole) throw invalid(`shard "${dataPath}" has a malformed list of sha256 of its pieces`);
  return pieceSha256;
}

const SHA256 = /^[0-9a-f]{64}$/;

function parseTensor(raw: RawRecord, shard: RawShard, shardIndex: number): TensorEntry {
  const { name, shape, dtype, nbytes: byteLength, byteOffset } = raw;
  if (!(dtype in DTYPE_BYTES)) throw invalid(`tensor "${name}" has dtype "${dtype}"`);
  const expected = product(shape) * DTYPE_BYTES[dtype as TensorDtype];
  if (byteLength !== expected) {
    throw invalid(`tensor "${name}" of shape [${shape}] needs ${expected} bytes and lists ${byteLength}`);
  }
  if (!(byteOffset >= 0 && byteOffset + byteLength <= shard.nbytes)) {
    throw invalid(`tensor "${name}" reaches beyond the end of "${shard.dataPath}"`);
  }
  return { name, shape, dtype: dtype as TensorDtype, shardIndex, byteOffset, byteLength };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(reason: string, cause?: unknown): AutoglmError {
  return new AutoglmError('manifest-invalid', `Cannot read tensor-cache.json: ${reason}.`, {
    cure: 'Convert the model again with "autoglm convert".',
    cause,
  });
}
