import { mkdir, open, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { product } from '../base/maths.ts';
import { parseModelConfig } from '../model/config.ts';
import {
  storedArrays,
  weightFormat,
  type Quantization,
  type VisionQuantization,
} from '../model/quantization.ts';
import { createSyntheticConfig, synthesize, synthesizeBfloat16 } from '../model/synthetic.ts';
import { expectedTensors, type ExpectedTensor } from '../model/tensor-names.ts';
import { ModelFolderWriter } from './model-folder-writer.ts';

/** What a made-up model is to be. */
export interface SynthOptions {
  readonly target: string;
  /** Decoder layers. */
  readonly layers: number;
  /** Vision blocks. */
  readonly blocks: number;
  readonly seed: number;
  readonly quantization: Quantization;
  readonly visionQuantization: VisionQuantization;
  /** Replaces the config of GLM-4.1V's sizes; `layers` and `blocks` then have no effect. */
  readonly config?: unknown;
  readonly signal?: AbortSignal;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** Figures of a made-up model. */
export interface SynthResult {
  readonly target: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly files: number;
  readonly seconds: number;
}

const PIECE_WORDS = 1024 * 1024;

/** A weight file of a synthetic checkpoint is closed before it would exceed this. */
const CHECKPOINT_FILE_BYTES = 4e9;

/**
 * Writes a model folder of seeded random weights; without a tokenizer.
 *
 * @throws AutoglmError as `ModelFolderWriter.create` does.
 */
export async function synthesizeModelFolder(options: SynthOptions): Promise<SynthResult> {
  const start = performance.now();
  const config = options.config ?? createSyntheticConfig(options.layers, options.blocks);
  const tensors = expectedTensors(parseModelConfig(config));
  const { quantization, visionQuantization, seed } = options;
  const contents = tensors.flatMap((tensor) => {
    const format = weightFormat(tensor, quantization, visionQuantization);
    return synthesize(tensor, format, storedArrays(tensor, format), seed);
  });
  const writer = await ModelFolderWriter.create(
    options.target,
    contents.map(({ array }) => array),
  );
  const parameters = countParameters(tensors);
  try {
    await writer.writeText('config.json', `${JSON.stringify(config, undefined, 2)}\n`);
    let doneBytes = 0;
    for (const { array, fill } of contents) {
      for (const bytes of generatePieces(array.byteLength, fill)) {
        options.signal?.throwIfAborted();
        await writer.write(bytes);
        doneBytes += bytes.byteLength;
        options.onProgress?.(doneBytes, writer.byteLength);
      }
    }
    await writer.finish({ quantization, visionQuantization, seed, parameterCount: parameters });
  } finally {
    await writer.discard();
  }
  const seconds = (performance.now() - start) / 1000;
  return { target: options.target, parameters, bytes: writer.byteLength, files: writer.shardCount, seconds };
}

/** Writes a bf16 Hugging Face checkpoint of seeded random weights in several files, to convert. */
export async function synthesizeCheckpoint(options: SynthOptions): Promise<SynthResult> {
  const start = performance.now();
  const config = options.config ?? createSyntheticConfig(options.layers, options.blocks);
  const tensors = expectedTensors(parseModelConfig(config));
  const files = distribute(tensors, CHECKPOINT_FILE_BYTES);
  const bytes = 2 * countParameters(tensors);
  await mkdir(options.target, { recursive: true });
  await writeFile(join(options.target, 'config.json'), `${JSON.stringify(config, undefined, 2)}\n`);
  const weightMap: Record<string, string> = {};
  let doneBytes = 0;
  for (const [index, content] of files.entries()) {
    const name = `model-${pad(index + 1)}-of-${pad(files.length)}.safetensors`;
    for (const tensor of content) weightMap[tensor.name] = name;
    const file = await open(join(options.target, name), 'w');
    try {
      await writeCheckpointFile(file, content, options, (count) => {
        doneBytes += count;
        options.onProgress?.(doneBytes, bytes);
      });
    } finally {
      await file.close();
    }
  }
  const index = { metadata: { total_size: bytes }, weight_map: weightMap };
  await writeFile(join(options.target, 'model.safetensors.index.json'), `${JSON.stringify(index)}\n`);
  const seconds = (performance.now() - start) / 1000;
  return { target: options.target, parameters: bytes / 2, bytes, files: files.length, seconds };
}

async function writeCheckpointFile(
  file: FileHandle,
  tensors: readonly ExpectedTensor[],
  options: SynthOptions,
  onWritten: (byteLength: number) => void,
): Promise<void> {
  await file.writeFile(createSafetensorsHeader(tensors));
  for (const tensor of tensors) {
    const fill = synthesizeBfloat16(tensor, options.seed);
    for (const bytes of generatePieces(2 * product(tensor.shape), fill)) {
      options.signal?.throwIfAborted();
      await file.writeFile(bytes);
      onWritten(bytes.byteLength);
    }
  }
}

function createSafetensorsHeader(tensors: readonly ExpectedTensor[]): Uint8Array {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const { name, shape } of tensors) {
    const start = end;
    end += 2 * product(shape);
    header[name] = { dtype: 'BF16', shape, data_offsets: [start, end] };
  }
  const text = JSON.stringify(header);
  // The format wants the tensors' bytes to start at a multiple of 8.
  const json = new TextEncoder().encode(text + ' '.repeat((8 - (text.length % 8)) % 8));
  const bytes = new Uint8Array(8 + json.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  bytes.set(json, 8);
  return bytes;
}

/** Consecutive pieces of an array's bytes. */
function* generatePieces(
  byteLength: number,
  fill: (words: Uint32Array, first: number) => void,
): Generator<Uint8Array> {
  for (let first = 0; first * 4 < byteLength; first += PIECE_WORDS) {
    const words = new Uint32Array(Math.min(PIECE_WORDS, Math.ceil(byteLength / 4) - first));
    fill(words, first);
    yield new Uint8Array(words.buffer, 0, Math.min(words.byteLength, byteLength - first * 4));
  }
}

function distribute(
  tensors: readonly ExpectedTensor[],
  limit: number,
): readonly (readonly ExpectedTensor[])[] {
  const files: ExpectedTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const count = 2 * product(tensor.shape);
    if (bytes + count > limit && bytes > 0) {
      files.push([]);
      bytes = 0;
    }
    files.at(-1)!.push(tensor);
    bytes += count;
  }
  return files;
}

function countParameters(tensors: readonly ExpectedTensor[]): number {
  return tensors.reduce((total, { shape }) => total + product(shape), 0);
}

function pad(count: number): string {
  return String(count).padStart(5, '0');
}
