import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { product } from '../base/maths.ts';
import { parseModelConfig } from '../model/config.ts';
import {
  storedArrays,
  weightFormat,
  GROUP_SIZE,
  type Quantization,
  type ScaleRule,
  type VisionQuantization,
  type WeightFormat,
} from '../model/quantization.ts';
import { expectedTensors } from '../model/tensor-names.ts';
import { createBlockPool, type BlockPool } from './block-pool.ts';
import { matchTensors, openCheckpoint, type CheckpointTensor } from './checkpoint.ts';
import { SOURCE_BYTES, type BlockJob, type ConvertedBlock, type SourceDtype } from './convert-block.ts';
import { ModelFolderWriter } from './model-folder-writer.ts';

/** What `convertCheckpoint` is to do. */
export interface ConvertOptions {
  /** Hugging Face folder. */
  readonly source: string;
  /** Model folder to make; new or empty. */
  readonly target: string;
  readonly quantization: Quantization;
  readonly scaleRule: ScaleRule;
  readonly visionQuantization: VisionQuantization;
  /** Worker threads; 0 converts on the calling thread. */
  readonly threads: number;
  /** The built worker; without it the calling thread converts. */
  readonly workerUrl?: URL;
  readonly signal?: AbortSignal;
  /** Called after every piece with the source bytes done and their total. */
  readonly onProgress?: (doneBytes: number, totalBytes: number, tensorName: string) => void;
}

/** Figures of a conversion. */
export interface ConvertResult {
  readonly target: string;
  readonly quantization: Quantization;
  readonly scaleRule: ScaleRule;
  readonly visionQuantization: VisionQuantization;
  readonly tensors: number;
  readonly parameters: number;
  readonly sourceBytes: number;
  readonly targetBytes: number;
  readonly bitsPerParameter: number;
  readonly seconds: number;
  /** Source bytes a second, in units of 10^6. */
  readonly megabytesPerSecond: number;
  /** Highest resident memory of the process so far. */
  readonly peakRssBytes: number;
}

/** Source bytes of a piece. Big enough that a read is sequential, small enough for any memory. */
const BLOCK_BYTES = 4 * 1024 * 1024;

/** Files beside the weights that belong to the source format alone. */
const LEFT_OUT = /\.index\.json$|^(tensor|ndarray)-cache(-b16)?\.json$/;

interface TensorJob {
  readonly tensor: CheckpointTensor;
  readonly format: WeightFormat;
}

/**
 * Converts a Hugging Face checkpoint to a model folder, piece by piece: memory does not grow with the
 * checkpoint. The target appears under its name only when it is whole.
 *
 * @throws AutoglmError of the codes of `parseModelConfig`, `openCheckpoint`, `matchTensors`, `weightFormat`,
 *   `convertBlock` and `ModelFolderWriter.create`; `AbortError` when the signal fires.
 */
export async function convertCheckpoint(options: ConvertOptions): Promise<ConvertResult> {
  const { source, target, quantization, scaleRule, visionQuantization } = options;
  const start = performance.now();
  const checkpoint = await openCheckpoint(source);
  const expected = expectedTensors(parseModelConfig(checkpoint.config));
  const tensors = matchTensors(expected, checkpoint);
  const formats = expected.map((tensor) => weightFormat(tensor, quantization, visionQuantization));
  const arrays = expected.flatMap((tensor, index) => storedArrays(tensor, formats[index]!));
  const writer = await ModelFolderWriter.create(target, arrays);
  const parameters = expected.reduce((total, { shape }) => total + product(shape), 0);
  const sourceBytes = tensors.reduce((total, { byteLength }) => total + byteLength, 0);
  try {
    await copyCompanions(source, writer);
    using pool = createBlockPool(options.threads, options.workerUrl);
    const jobs = tensors.map((tensor, index) => ({ tensor, format: formats[index]! }));
    await writeTensors(jobs, pool, writer, { ...options, sourceBytes });
    await writer.finish({ quantization, visionQuantization, scaleRule, parameterCount: parameters });
  } finally {
    await writer.discard();
  }
  const seconds = (performance.now() - start) / 1000;
  return {
    target,
    quantization,
    scaleRule,
    visionQuantization,
    tensors: tensors.length,
    parameters,
    sourceBytes,
    targetBytes: writer.byteLength,
    bitsPerParameter: (writer.byteLength * 8) / parameters,
    seconds,
    megabytesPerSecond: sourceBytes / 1e6 / seconds,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

/** Copies the json, jinja and txt files of the checkpoint as they are. */
async function copyCompanions(source: string, writer: ModelFolderWriter): Promise<void> {
  for (const name of (await readdir(source)).toSorted()) {
    if (/\.(json|jinja|txt)$/.test(name) && !LEFT_OUT.test(name)) await writer.copy(join(source, name));
  }
}

async function writeTensors(
  tensors: readonly TensorJob[],
  pool: BlockPool,
  writer: ModelFolderWriter,
  options: ConvertOptions & { readonly sourceBytes: number },
): Promise<void> {
  let doneBytes = 0;
  let scales: Uint8Array[] = [];
  for await (const { job, block, isLast } of convertInOrder(tensors, pool, options.scaleRule)) {
    options.signal?.throwIfAborted();
    await writer.write(block.values);
    // A tensor's scales follow its words; they are a sixteenth of its f32 values, so they wait in memory.
    scales.push(block.scales);
    if (isLast) {
      for (const piece of scales) await writer.write(piece);
      scales = [];
    }
    doneBytes += job.byteLength;
    options.onProgress?.(doneBytes, options.sourceBytes, job.tensorName);
  }
}

interface Piece {
  readonly job: BlockJob;
  /** True for the last piece of its tensor. */
  readonly isLast: boolean;
}

/** Keeps the pool busy and yields its results in the order of the pieces. */
async function* convertInOrder(
  tensors: readonly TensorJob[],
  pool: BlockPool,
  rule: ScaleRule,
): AsyncGenerator<Piece & { readonly block: ConvertedBlock }> {
  const running: { readonly piece: Piece; readonly result: Promise<ConvertedBlock> }[] = [];
  for (const piece of cutTensors(tensors, rule)) {
    const result = pool.convert(piece.job);
    // The error is met when the result's turn comes; until then it is not unhandled.
    result.catch(() => undefined);
    running.push({ piece, result });
    if (running.length < pool.capacity) continue;
    const first = running.shift()!;
    yield { ...first.piece, block: await first.result };
  }
  for (const { piece, result } of running) yield { ...piece, block: await result };
}

function* cutTensors(tensors: readonly TensorJob[], rule: ScaleRule): Generator<Piece> {
  for (const { tensor, format } of tensors) {
    const dtype = tensor.dtype as SourceDtype;
    const blockBytes =
      Math.floor(BLOCK_BYTES / (GROUP_SIZE * SOURCE_BYTES[dtype])) * GROUP_SIZE * SOURCE_BYTES[dtype];
    for (let done = 0; done < tensor.byteLength; done += blockBytes) {
      const byteLength = Math.min(blockBytes, tensor.byteLength - done);
      const { name: tensorName, path } = tensor;
      const byteOffset = tensor.byteOffset + done;
      yield {
        job: { tensorName, path, byteOffset, byteLength, dtype, format, rule },
        isLast: done + byteLength === tensor.byteLength,
      };
    }
  }
}
