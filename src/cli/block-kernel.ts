import { BLOCK_KERNEL_WASM } from './block-kernel.wasm.ts';
import { GROUP_SIZE, VALUES_PER_WORD, ZERO_POINT } from '../model/quantization.ts';
import { SEARCH_DIVISORS } from '../model/quantize-groups.ts';
import { convertBlock, SOURCE_BYTES, type BlockJob, type ConvertedBlock } from './convert-block.ts';
import { assert } from '../base/assert.ts';
import { roundUp } from '../base/maths.ts';

/** Exports of `block-kernel.wat`; pointers are bytes, results are non-zero for a value that f16 or f32 lacks. */
interface KernelExports {
  readonly memory: WebAssembly.Memory;
  readonly widenBfloat16: (source: number, count: number, target: number) => number;
  readonly widenFloat16: (source: number, count: number, target: number) => number;
  readonly checkFloat32: (source: number, count: number) => number;
  readonly narrowFloat16: (source: number, count: number, target: number) => number;
  readonly quantize: (
    source: number,
    groups: number,
    words: number,
    scales: number,
    zeroPoint: number,
    divisors: number,
    divisorCount: number,
  ) => number;
}

const PAGE_BYTES = 65536;
const DIVISORS = 64;
/** Room behind each area for the loops that write whole vectors. */
const SLACK_BYTES = 64;
const SOURCE = 1024;

const EMPTY = new Uint8Array(0);

/**
 * Converts pieces of tensors as `convertBlock` does, to the bit, with SIMD. The piece is read straight into
 * the kernel's memory, which grows to about five times the largest piece and stays.
 */
export class BlockKernel {
  readonly #kernel: KernelExports;

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(BLOCK_KERNEL_WASM, 'base64'));
    this.#kernel = new WebAssembly.Instance(module).exports as unknown as KernelExports;
  }

  /** Where the bytes of the next piece go. It is valid until the next call of `reserve` or `convert`. */
  reserve(byteLength: number): Uint8Array<ArrayBuffer> {
    const area = roundUp(byteLength, 16) + SLACK_BYTES;
    const missing = SOURCE + 5 * area - this.#kernel.memory.buffer.byteLength;
    if (missing > 0) this.#kernel.memory.grow(Math.ceil(missing / PAGE_BYTES));
    return new Uint8Array(this.#memory, SOURCE, byteLength);
  }

  /**
   * Converts the piece that was put where `reserve` said.
   *
   * @throws AutoglmError `checkpoint-invalid` as `convertBlock` does.
   */
  convert(job: BlockJob): ConvertedBlock {
    assert(SOURCE + job.byteLength <= this.#memory.byteLength, 'the piece is reserved');
    const result = this.#run(job);
    // The plain form finds the value again that must not be, and says where it is.
    return result ?? convertBlock(new Uint8Array(this.#memory, SOURCE, job.byteLength).slice(), job);
  }

  get #memory(): ArrayBuffer {
    return this.#kernel.memory.buffer as ArrayBuffer;
  }

  #run(job: BlockJob): ConvertedBlock | undefined {
    const { dtype, format, rule } = job;
    const kernel = this.#kernel;
    const count = job.byteLength / SOURCE_BYTES[dtype];
    const floats = dtype === 'F32' ? SOURCE : SOURCE + roundUp(job.byteLength, 16) + SLACK_BYTES;
    if (this.#widen(job, count, floats)) return undefined;
    if (format === 'f32') return { values: this.#copy(floats, 4 * count), scales: EMPTY };
    if (format === 'f16' && dtype === 'F16') return { values: this.#copy(SOURCE, 2 * count), scales: EMPTY };
    const target = floats + roundUp(4 * count, 16) + SLACK_BYTES;
    if (format === 'f16') {
      if (kernel.narrowFloat16(floats, count, target)) return undefined;
      return { values: this.#copy(target, 2 * count), scales: EMPTY };
    }
    if (rule === 'absmax' && dtype !== 'F16') {
      if (kernel.narrowFloat16(floats, count, target)) return undefined;
      kernel.widenFloat16(target, count, floats);
    }
    const groups = count / GROUP_SIZE;
    const wordBytes = (4 * count) / VALUES_PER_WORD[format];
    const scales = target + wordBytes;
    const divisors = rule === 'search' ? SEARCH_DIVISORS[format] : [];
    new Float64Array(this.#memory, DIVISORS, divisors.length).set(divisors);
    if (kernel.quantize(floats, groups, target, scales, ZERO_POINT[format], DIVISORS, divisors.length)) {
      return undefined;
    }
    return { values: this.#copy(target, wordBytes), scales: this.#copy(scales, 2 * groups) };
  }

  #widen({ dtype }: BlockJob, count: number, floats: number): number {
    if (dtype === 'F32') {
      // The check reads whole vectors: what an earlier piece left behind this one must not be found.
      new Uint8Array(this.#memory, SOURCE + 4 * count, 16).fill(0);
      return this.#kernel.checkFloat32(SOURCE, count);
    }
    new Uint8Array(this.#memory, SOURCE + 2 * count, 16).fill(0);
    if (dtype === 'F16') return this.#kernel.widenFloat16(SOURCE, count, floats);
    return this.#kernel.widenBfloat16(SOURCE, count, floats);
  }

  #copy(start: number, byteLength: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory, start, byteLength).slice();
  }
}
