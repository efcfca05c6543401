/** The embedded model's manifest against its folder: what it lists wrongly would be fetched in vain or refused. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hashOf, hashPieces } from '../../e2e/model-folder.ts';
import { MODEL_TEXT_PATHS } from './cached-texts.ts';

const FOLDER = fileURLToPath(new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url));
const MANIFEST = 'tensor-cache.json';
const { metadata, records } = JSON.parse(readFileSync(join(FOLDER, MANIFEST), 'utf8'));

describe('the embedded model', () => {
  it('lists every file that a load asks for, with its sha256', () => {
    const present = new Set(readdirSync(FOLDER));
    const files = MODEL_TEXT_PATHS.filter((name) => name !== MANIFEST && present.has(name));
    expect(metadata.files).toEqual(
      Object.fromEntries(files.map((name) => [name, hashOf(readFileSync(join(FOLDER, name)))])),
    );
  });

  it('lists the sha256 of its shard and of each piece', () => {
    expect(records).toHaveLength(1);
    const bytes = readFileSync(join(FOLDER, records[0].dataPath));
    expect(records[0]).toMatchObject({
      nbytes: bytes.byteLength,
      sha256: hashOf(bytes),
      pieceSha256: hashPieces(bytes),
    });
  });
});
