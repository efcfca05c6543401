import { createHash, type Hash } from 'node:crypto';
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  statfs,
  writeFile,
} from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { assert } from '../base/assert.ts';
import { AutoglmError } from '../base/errors.ts';
import { product } from '../base/maths.ts';
import type { StoredArray } from '../model/quantization.ts';
import { PIECE_BYTES } from '../storage/pieces.ts';
import { planShards, type PlannedShard } from './shard-plan.ts';

/** What `tensor-cache.json` says about the weights as a whole. */
export interface WeightMetadata {
  readonly quantization: string;
  /** Parameters of the model, for bits a parameter. */
  readonly parameterCount: number;
  readonly [key: string]: unknown;
}

interface OpenShard {
  readonly plan: PlannedShard;
  readonly file: FileHandle;
  readonly sha256: Hash;
  readonly md5: Hash;
  /** Of the piece that is being written. */
  piece: Hash;
  /** sha256 of the pieces that are whole. */
  readonly pieces: string[];
  written: number;
}

const MANIFEST = 'tensor-cache.json';

/**
 * Writes a model folder: `params_shard_N.bin` by a stream of bytes, `tensor-cache.json` last. Everything goes
 * into a temporary folder beside the target, which takes the target's name only when it is whole.
 */
export class ModelFolderWriter {
  readonly #target: string;
  readonly #folder: string;
  readonly #shards: readonly PlannedShard[];
  readonly #records: unknown[] = [];
  /** sha256 of the texts beside the weights, by name. */
  readonly #files = new Map<string, string>();
  #open: OpenShard | undefined;
  #arrayIndex = 0;
  #arrayWritten = 0;

  /** Use `create`. */
  constructor(target: string, folder: string, shards: readonly PlannedShard[]) {
    this.#target = target;
    this.#folder = folder;
    this.#shards = shards;
  }

  /**
   * @param target folder to make; it must not exist, or be empty
   * @param arrays what will be written, in this order
   * @throws AutoglmError `usage` when the target holds files, `quota-exceeded` when the disk is too small.
   */
  static async create(target: string, arrays: readonly StoredArray[]): Promise<ModelFolderWriter> {
    const path = resolve(target);
    await checkEmpty(path);
    await mkdir(dirname(path), { recursive: true });
    const shards = planShards(arrays);
    await checkDiskSpace(
      dirname(path),
      shards.reduce((total, shard) => total + shard.byteLength, 0),
    );
    const folder = await mkdtemp(join(dirname(path), `.${basename(path)}.partial-`));
    return new ModelFolderWriter(path, folder, shards);
  }

  /** Bytes of all shards. */
  get byteLength(): number {
    return this.#shards.reduce((total, shard) => total + shard.byteLength, 0);
  }

  get shardCount(): number {
    return this.#shards.length;
  }

  /** Appends bytes of the arrays in their planned order; a call need not end where an array does. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.byteLength > 0;) {
      const shard = await this.#currentShard();
      const array = shard.plan.arrays[this.#arrayIndex]!;
      await this.#append(shard, new Uint8Array(array.byteOffset + this.#arrayWritten - shard.written));
      const count = Math.min(rest.byteLength, array.byteLength - this.#arrayWritten);
      await this.#append(shard, rest.subarray(0, count));
      this.#arrayWritten += count;
      rest = rest.subarray(count);
      if (this.#arrayWritten === array.byteLength) await this.#finishArray(shard);
    }
  }

  /** Copies the bytes of a file, but not its mode: the source may be read-only. */
  async copy(path: string): Promise<void> {
    await this.#writeFile(basename(path), await readFile(path));
  }

  /** Writes a small text file. */
  async writeText(name: string, text: string): Promise<void> {
    await this.#writeFile(name, Buffer.from(text));
  }

  async #writeFile(name: string, bytes: Uint8Array): Promise<void> {
    this.#files.set(name, createHash('sha256').update(bytes).digest('hex'));
    await withDiskError(writeFile(join(this.#folder, name), bytes));
  }

  /** Writes the manifest and gives the folder its name. */
  async finish(metadata: WeightMetadata): Promise<void> {
    assert(this.#records.length === this.#shards.length, 'every planned array is written');
    const { parameterCount, ...rest } = metadata;
    const manifest = {
      metadata: {
        ParamSize: this.#shards.reduce((total, shard) => total + shard.arrays.length, 0),
        ParamBytes: this.byteLength,
        BitsPerParam: (this.byteLength * 8) / parameterCount,
        ...rest,
        // A reader need not ask for what is not there, and sees by this file alone that another has changed.
        files: Object.fromEntries(this.#files),
      },
      records: this.#records,
    };
    await this.writeText(MANIFEST, `${JSON.stringify(manifest, undefined, 1)}\n`);
    // A temporary folder is its owner's alone; a model folder is as readable as any other.
    await chmod(this.#folder, 0o777 & ~process.umask());
    await rmdir(this.#target).catch(() => undefined);
    await rename(this.#folder, this.#target);
  }

  /** Removes what was written. Harmless after `finish`. */
  async discard(): Promise<void> {
    await this.#open?.file.close();
    this.#open = undefined;
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #currentShard(): Promise<OpenShard> {
    if (this.#open !== undefined) return this.#open;
    const plan = this.#shards[this.#records.length];
    assert(plan !== undefined, 'no bytes follow the last planned array');
    const file = await withDiskError(open(join(this.#folder, plan.dataPath), 'w'));
    const [sha256, md5, piece] = [createHash('sha256'), createHash('md5'), createHash('sha256')];
    this.#open = { plan, file, sha256, md5, piece, pieces: [], written: 0 };
    return this.#open;
  }

  async #append(shard: OpenShard, bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return;
    const writing = shard.file.writeFile(bytes);
    shard.sha256.update(bytes);
    shard.md5.update(bytes);
    hashPieces(shard, bytes);
    await withDiskError(writing);
    shard.written += bytes.byteLength;
  }

  async #finishArray(shard: OpenShard): Promise<void> {
    this.#arrayWritten = 0;
    this.#arrayIndex += 1;
    if (this.#arrayIndex < shard.plan.arrays.length) return;
    this.#arrayIndex = 0;
    this.#open = undefined;
    await withDiskError(shard.file.close());
    this.#records.push(toRecord(shard));
  }
}

function hashPieces(shard: OpenShard, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.byteLength;) {
    const end = Math.min(bytes.byteLength, done + PIECE_BYTES - ((shard.written + done) % PIECE_BYTES));
    shard.piece.update(bytes.subarray(done, end));
    done = end;
    const position = shard.written + done;
    if (position % PIECE_BYTES !== 0 && position !== shard.plan.byteLength) continue;
    shard.pieces.push(shard.piece.digest('hex'));
    shard.piece = createHash('sha256');
  }
}

function toRecord({ plan, sha256, md5, pieces }: OpenShard): unknown {
  return {
    dataPath: plan.dataPath,
    format: 'raw-shard',
    nbytes: plan.byteLength,
    // MLC's own loaders know md5sum alone.
    md5sum: md5.digest('hex'),
    sha256: sha256.digest('hex'),
    // So that a page judges each piece when it comes.
    pieceBytes: PIECE_BYTES,
    pieceSha256: pieces,
    records: plan.arrays.map(({ name, shape, dtype, byteLength, byteOffset }) => {
      assert(product(shape) > 0, `"${name}" is not empty`);
      return { name, shape, dtype, format: 'raw', nbytes: byteLength, byteOffset };
    }),
  };
}

async function checkEmpty(path: string): Promise<void> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new AutoglmError('usage', `Cannot write to ${path}: it is not a folder.`, {
      value: path,
      cause: error,
    });
  });
  if (names.length > 0) {
    throw new AutoglmError('usage', `Cannot write to ${path}: it already holds ${names.length} files.`, {
      value: path,
      limit: 'an empty or new folder',
      cure: 'Remove it or name another folder.',
    });
  }
}

async function checkDiskSpace(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < needed) throw diskFull(bavail * bsize, needed);
}

async function withDiskError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw diskFull(undefined, undefined, error);
    }
    throw error;
  }
}

function diskFull(free: number | undefined, needed: number | undefined, cause?: unknown): AutoglmError {
  const figures = free === undefined ? '' : `: ${free} bytes are free and ${needed} are needed`;
  return new AutoglmError('quota-exceeded', `Cannot write the model folder, the disk is full${figures}.`, {
    value: free,
    limit: needed,
    cure: 'Free some space or write to another disk.',
    cause,
  });
}
