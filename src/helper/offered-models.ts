import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MODEL_TEXT_PATHS } from '../storage/cached-texts.ts';
import { parseManifest, type Manifest, type ShardEntry } from '../storage/manifest.ts';
import type { ModelOffer, ModelOfferAnswer } from '../protocol/helper-http.ts';
import { Refusal } from './refusal.ts';

/** Largest model that a page may hand over; the 9B takes 6 GB at 4 bits and 20 GB at 16. */
const MOST_BYTES = 32e9;
/** What stays free on the disk. */
const SPARE_BYTES = 1e9;

interface KnownModel {
  readonly folder: string;
  readonly manifest: Manifest;
}

/**
 * Models that pages hand over from their own storage, for a machine that is offline: the texts first, then each
 * shard by its hash. Only what the texts list is taken, and only when its hash is right.
 */
export class OfferedModels {
  readonly #root: string;
  readonly #known = new Map<string, KnownModel>();

  constructor(cacheFolder: string) {
    this.#root = join(cacheFolder, 'models');
  }

  /** Keeps an offered model's texts. @throws Refusal 400 or 413 for an offer that is no model folder. */
  async offer(offer: ModelOffer): Promise<ModelOfferAnswer> {
    const { name, files } = checkOffer(offer);
    const manifestText = files['tensor-cache.json'] ?? files['ndarray-cache.json'] ?? '';
    const manifest = parseManifest(manifestText);
    if (manifest.shards.some(({ sha256 }) => sha256 === undefined)) {
      throw invalid('The model lists no sha256 for its shards, so nothing of it could be checked.');
    }
    if (manifest.byteLength > MOST_BYTES) {
      throw new Refusal(
        413,
        'body-too-large',
        `The model takes ${manifest.byteLength} bytes of ${MOST_BYTES}.`,
      );
    }
    const id = fingerprintOf(manifestText);
    // The folder's last part is the model's name.
    const folder = join(this.#root, id, name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text);
    this.#known.set(id, { folder, manifest });
    const missing: string[] = [];
    let missingBytes = 0;
    for (const { dataPath, byteLength } of manifest.shards) {
      if (await hasFile(join(folder, dataPath), byteLength)) continue;
      missing.push(dataPath);
      missingBytes += byteLength;
    }
    await this.#requireRoom(missingBytes);
    return { id, missing };
  }

  /** Takes a shard. @throws Refusal 404 for one that was not offered, 400 when it is not what was offered. */
  async put(id: string, dataPath: string, body: Readable): Promise<void> {
    const { folder, manifest } = this.#require(id);
    const shard = manifest.shards.find((entry) => entry.dataPath === dataPath);
    if (!shard) throw new Refusal(404, 'not-found', 'The offered model has no such shard.');
    const draft = join(folder, `.${randomUUID()}.part`);
    try {
      await pipeline(body, checkBytes(shard), createWriteStream(draft, { flags: 'wx', mode: 0o600 }));
      await rename(draft, join(folder, dataPath));
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  /** The folder of a complete model. @throws Refusal 404, or 409 while shards are missing. */
  async folderOf(id: string): Promise<string> {
    const { folder, manifest } = this.#require(id);
    for (const { dataPath, byteLength } of manifest.shards) {
      if (await hasFile(join(folder, dataPath), byteLength)) continue;
      throw new Refusal(409, 'request-invalid', `The shard ${dataPath} has not come yet.`);
    }
    return folder;
  }

  #require(id: string): KnownModel {
    const known = this.#known.get(id);
    if (known) return known;
    throw new Refusal(404, 'unknown-model', 'No model with this id was offered.');
  }

  async #requireRoom(byteLength: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#root);
    if (byteLength + SPARE_BYTES <= bavail * bsize) return;
    throw new Refusal(413, 'body-too-large', `The disk has no room for ${byteLength} bytes more.`);
  }
}

/** Two folders with this in common hold the same weights. */
export function fingerprintOf(manifestText: string): string {
  return createHash('sha256').update(manifestText).digest('hex');
}

function checkOffer(offer: ModelOffer | undefined): ModelOffer {
  const { name, files } = (offer ?? {}) as Partial<ModelOffer>;
  if (typeof name !== 'string' || !/^\w[\w.-]{0,99}$/.test(name)) {
    throw invalid('A model has a name of letters, digits, dots and dashes.');
  }
  if (typeof files !== 'object' || files === null) throw invalid('An offer has the texts of a model folder.');
  for (const [path, text] of Object.entries(files)) {
    if (typeof text === 'string' && (MODEL_TEXT_PATHS as readonly string[]).includes(path)) continue;
    throw invalid(`"${path.slice(0, 60)}" is no text of a model folder.`);
  }
  return { name, files };
}

/** Passes bytes on; the end is an error unless they are the shard. */
function checkBytes({ dataPath, byteLength, sha256 }: ShardEntry) {
  return async function* check(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    let count = 0;
    for await (const piece of source) {
      count += piece.length;
      if (count > byteLength) throw invalid(`${dataPath} has more than its ${byteLength} bytes.`);
      hash.update(piece);
      yield piece;
    }
    if (count < byteLength) throw invalid(`${dataPath} ended after ${count} of ${byteLength} bytes.`);
    if (hash.digest('hex') !== sha256) throw invalid(`${dataPath} has another sha256 than the model lists.`);
  };
}

async function hasFile(path: string, byteLength: number): Promise<boolean> {
  try {
    return (await stat(path)).size === byteLength;
  } catch {
    return false;
  }
}

function invalid(message: string): Refusal {
  return new Refusal(400, 'request-invalid', message);
}
