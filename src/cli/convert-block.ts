import { AutoglmError } from '../base/errors.ts';
import { narrowToFloat16, widenBfloat16, widenFloat16 } from '../base/float16.ts';
import { GROUP_SIZE, VALUES_PER_WORD, type ScaleRule, type WeightFormat } from '../model/quantization.ts';
import { quantizeGroups } from '../model/quantize-groups.ts';

/** Element types that a checkpoint's weights may have, and their bytes. */
export const SOURCE_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
export type SourceDtype = keyof typeof SOURCE_BYTES;

/** A piece of one tensor and what to make of it; plain data for a worker. */
export interface BlockJob {
  readonly tensorName: string;
  /** Safetensors file. */
  readonly path: string;
  /** Where the piece's bytes are in the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly dtype: SourceDtype;
  readonly format: WeightFormat;
  readonly rule: ScaleRule;
}

/** The converted bytes of a piece. */
export interface ConvertedBlock {
  /** Packed words, or f16 or f32 values. */
  readonly values: Uint8Array<ArrayBuffer>;
  /** f16 scales of a quantised piece; empty otherwise. */
  readonly scales: Uint8Array<ArrayBuffer>;
}

const EMPTY = new Uint8Array(0);

/**
 * Converts a piece of a tensor; a quantised piece consists of whole groups.
 *
 * @param source the piece's bytes, aligned to 4
 * @throws AutoglmError `checkpoint-invalid` for an infinity or NaN, or a value that f16 cannot hold.
 */
export function convertBlock(source: Uint8Array<ArrayBuffer>, job: BlockJob): ConvertedBlock {
  const { dtype, format, rule } = job;
  if (format === 'f16' && dtype === 'F16') {
    checkFiniteHalves(new Uint16Array(source.buffer, source.byteOffset, source.byteLength / 2), job);
    return { values: source.slice(), scales: EMPTY };
  }
  const floats = widen(source, dtype);
  checkFinite(floats, job);
  if (format === 'f32') return { values: bytesOf(floats.slice()), scales: EMPTY };
  if (format === 'f16') return { values: bytesOf(toHalves(floats, job)), scales: EMPTY };
  // MLC's rule starts from f16 weights; the search may as well fit the weights as they are.
  if (rule === 'absmax' && dtype !== 'F16') widenFloat16(toHalves(floats, job), floats);
  const words = new Uint32Array(floats.length / VALUES_PER_WORD[format]);
  const scales = new Uint16Array(floats.length / GROUP_SIZE);
  quantizeGroups(floats, words, scales, format, rule);
  checkFiniteHalves(scales, job);
  return { values: bytesOf(words), scales: bytesOf(scales) };
}

function widen(source: Uint8Array<ArrayBuffer>, dtype: SourceDtype): Float32Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = source;
  if (dtype === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const bits = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const floats = new Float32Array(bits.length);
  (dtype === 'F16' ? widenFloat16 : widenBfloat16)(bits, floats);
  return floats;
}

function toHalves(floats: Float32Array, job: BlockJob): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(floats.length);
  narrowToFloat16(floats, halves);
  const index = findNonFiniteHalf(halves);
  if (index >= 0) throw refused(job, index, floats[index]!, 65504);
  return halves;
}

function checkFinite(floats: Float32Array, job: BlockJob): void {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i]! & 0x7f800000) === 0x7f800000) throw refused(job, i, floats[i]!, 'a finite number');
  }
}

function checkFiniteHalves(halves: Uint16Array, job: BlockJob): void {
  const index = findNonFiniteHalf(halves);
  if (index >= 0) throw refused(job, index, 'not finite in f16', 65504);
}

function findNonFiniteHalf(halves: Uint16Array): number {
  for (let i = 0; i < halves.length; i++) if ((halves[i]! & 0x7c00) === 0x7c00) return i;
  return -1;
}

function refused(job: BlockJob, index: number, value: number | string, limit: number | string): AutoglmError {
  return new AutoglmError(
    'checkpoint-invalid',
    `Cannot convert "${job.tensorName}": a value near byte ${job.byteOffset + index * SOURCE_BYTES[job.dtype]} of the file is ${value}; the limit is ${limit}.`,
    {
      value,
      limit,
      cure: 'Download the checkpoint again; if its weights really are that large, use --quant q0f32.',
    },
  );
}

function bytesOf(array: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
