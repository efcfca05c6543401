import { openSync, closeSync, fstatSync, readSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AutoglmError } from '../base/errors.ts';
import { isDerivedTensor, toCurrentName, type ExpectedTensor } from '../model/tensor-names.ts';
import {
  parseSafetensorsHeader,
  readHeaderLength,
  SAFETENSORS_PREFIX_BYTES,
  type SafetensorsEntry,
} from '../storage/safetensors.ts';

const INDEX_FILE = 'model.safetensors.index.json';

/** A tensor of a checkpoint and the file that holds its bytes. */
export interface CheckpointTensor extends SafetensorsEntry {
  /** Path of the safetensors file. */
  readonly path: string;
}

/** The safetensors files of a Hugging Face folder, by their headers; the weights stay on disk. */
export interface Checkpoint {
  readonly folder: string;
  /** `config.json`, parsed but not checked. */
  readonly config: unknown;
  /** Tensors by the name that transformers writes today. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** Sum of all tensors' bytes. */
  readonly byteLength: number;
}

/**
 * Opens a Hugging Face folder: the files that `model.safetensors.index.json` names, or `model.safetensors`,
 * or every `*.safetensors`.
 *
 * @throws AutoglmError `file-missing` without a config or weights, or when a file that the index names is
 *   absent; `checkpoint-invalid` for a malformed or truncated file; `tensor-missing` when the index promises
 *   a tensor that its file does not hold.
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const config = await readJson(join(folder, 'config.json'));
  const { paths, promised } = await findWeightFiles(folder);
  const tensors = new Map<string, CheckpointTensor>();
  for (const path of paths) {
    for (const entry of readHeader(path).values()) {
      const name = toCurrentName(entry.name);
      if (tensors.has(name)) throw invalid(path, `tensor "${entry.name}" is in two files`, entry.name);
      tensors.set(name, { ...entry, name, path });
    }
  }
  for (const [name, path] of promised) {
    if (tensors.get(toCurrentName(name))?.path !== path) {
      throw new AutoglmError(
        'tensor-missing',
        `Cannot find "${name}" in ${basename(path)}, where ${INDEX_FILE} puts it.`,
        {
          value: name,
          cure: 'Download the checkpoint again: its files are of different revisions.',
        },
      );
    }
  }
  const byteLength = [...tensors.values()].reduce((total, entry) => total + entry.byteLength, 0);
  return { folder, config, tensors, byteLength };
}

/**
 * Pairs every expected tensor with the checkpoint's, in the expected order.
 *
 * @throws AutoglmError `tensor-missing`, `tensor-unknown`, `tensor-shape` or, for anything but F32, F16 and
 *   BF16, `tensor-dtype`.
 */
export function matchTensors(
  expected: readonly ExpectedTensor[],
  checkpoint: Checkpoint,
): readonly CheckpointTensor[] {
  const missing = expected.filter(({ name }) => !checkpoint.tensors.has(name)).map(({ name }) => name);
  if (missing.length > 0) {
    throw new AutoglmError(
      'tensor-missing',
      `Cannot convert ${checkpoint.folder}: it lacks ${listed(missing)}.`,
      {
        value: missing,
        limit: expected.length,
        cure: 'Download every file that the checkpoint consists of.',
      },
    );
  }
  const known = new Set(expected.map(({ name }) => name));
  const unknown = [...checkpoint.tensors.keys()].filter((name) => !known.has(name) && !isDerivedTensor(name));
  if (unknown.length > 0) {
    throw new AutoglmError(
      'tensor-unknown',
      `Cannot convert ${checkpoint.folder}: its config leaves no place for ${listed(unknown)}.`,
      {
        value: unknown,
        cure: 'Check that config.json and the weights belong together.',
      },
    );
  }
  return expected.map((tensor) => checkTensor(tensor, checkpoint.tensors.get(tensor.name)!));
}

function checkTensor(expected: ExpectedTensor, tensor: CheckpointTensor): CheckpointTensor {
  const { name, shape, dtype } = tensor;
  if (shape.length !== expected.shape.length || shape.some((size, axis) => size !== expected.shape[axis])) {
    throw new AutoglmError(
      'tensor-shape',
      `Cannot use "${name}": its shape is [${shape}], by config.json it is [${expected.shape}].`,
      {
        value: shape,
        limit: expected.shape,
        cure: 'Check that config.json and the weights belong together.',
      },
    );
  }
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new AutoglmError('tensor-dtype', `Cannot convert "${name}": its dtype is ${dtype}.`, {
      value: dtype,
      limit: ['F32', 'F16', 'BF16'],
      cure: 'Use the original checkpoint, not a quantised one.',
    });
  }
  return tensor;
}

async function findWeightFiles(
  folder: string,
): Promise<{ paths: readonly string[]; promised: readonly (readonly [string, string])[] }> {
  const names = (await readdir(folder)).toSorted();
  if (names.includes(INDEX_FILE)) {
    const promised = readWeightMap(folder, await readJson(join(folder, INDEX_FILE)), new Set(names));
    return { paths: [...new Set(promised.map(([, path]) => path))].toSorted(), promised };
  }
  const files = names.includes('model.safetensors')
    ? ['model.safetensors']
    : names.filter((name) => name.endsWith('.safetensors'));
  if (files.length === 0) {
    throw new AutoglmError('file-missing', `Cannot find a *.safetensors file in ${folder}.`, {
      value: names,
      cure: 'Download the safetensors files of the checkpoint; *.bin files are not read.',
    });
  }
  return { paths: files.map((name) => join(folder, name)), promised: [] };
}

function readWeightMap(
  folder: string,
  index: unknown,
  names: ReadonlySet<string>,
): readonly (readonly [string, string])[] {
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw invalid(INDEX_FILE, 'it has no "weight_map"');
  return Object.entries(map as Record<string, unknown>).map(([tensor, file]) => {
    if (typeof file !== 'string' || basename(file) !== file) {
      throw invalid(INDEX_FILE, `it puts "${tensor}" in ${JSON.stringify(file)}`, file);
    }
    if (!names.has(file)) {
      throw new AutoglmError('file-missing', `Cannot find ${file} in ${folder}; ${INDEX_FILE} names it.`, {
        value: file,
        cure: 'Download every file that the index names.',
      });
    }
    return [tensor, join(folder, file)] as const;
  });
}

function readHeader(path: string): ReadonlyMap<string, SafetensorsEntry> {
  const file = openSync(path, 'r');
  try {
    const name = basename(path);
    const prefix = new Uint8Array(SAFETENSORS_PREFIX_BYTES);
    const prefixLength = readSync(file, prefix, 0, prefix.length, 0);
    const header = new Uint8Array(readHeaderLength(prefix.subarray(0, prefixLength), name));
    const headerLength = readSync(file, header, 0, header.length, SAFETENSORS_PREFIX_BYTES);
    return parseSafetensorsHeader(header.subarray(0, headerLength), fstatSync(file).size, name);
  } finally {
    closeSync(file);
  }
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new AutoglmError('file-missing', `Cannot read ${path}.`, {
      value: path,
      cure: 'Give the folder of a Hugging Face checkpoint.',
      cause,
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(path, 'it is not JSON', undefined, cause);
  }
}

function listed(names: readonly string[]): string {
  const shown = names
    .slice(0, 3)
    .map((name) => `"${name}"`)
    .join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more tensors` : shown;
}

function invalid(file: string, reason: string, value?: unknown, cause?: unknown): AutoglmError {
  return new AutoglmError('checkpoint-invalid', `Cannot use ${file}: ${reason}.`, {
    value,
    cure: 'Download the checkpoint again.',
    cause,
  });
}
