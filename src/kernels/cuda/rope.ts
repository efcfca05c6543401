import { ceilDivide } from '../../base/maths.ts';
import type { KernelCall } from '../kernel.ts';
import { ropeConstants, type RopeAppendOptions } from '../rope-append.ts';
import type { RopeVisionOptions } from '../rope-vision.ts';
import { cudaProgram, type ActivationFormat } from './program.ts';

/** Threads of a block; fixed in the kernels. */
const THREADS = 128;

/** How q leaves: in f16 it is already scaled for a softmax in powers of two. */
interface QueryFormat {
  readonly out: ActivationFormat;
}

/** What a query is multiplied by: 1 / sqrt(D) * log2(e) for the kernels in f16, which use exp2. */
export function queryScale(D: number, out: ActivationFormat): number {
  return out === 'f16' ? D ** -0.5 * Math.LOG2E : 1;
}

/** Bias, M-RoPE on q and k, and the append to the KV cache. */
export function cudaRopeAppend(options: RopeAppendOptions & QueryFormat): KernelCall {
  const { label, H, KV, D, cacheFormat, out } = options;
  const { qkv, bias, rope, rows, q, keys, values } = options;
  return {
    label,
    program: cudaProgram('rope-append', {
      variants: [`cache-${cacheFormat}`, `out-${out}`],
      constants: { ...ropeConstants(options), Q_SCALE: queryScale(D, out) },
    }),
    bindings: { qkv, bias, rope, rows, q, keys, values },
    grid: [ceilDivide(((H + 2 * KV) * D) / 2, THREADS), { rows: 'tokens', per: 1 }, 1],
  };
}

/** The vision tower's 2-D rope, with keys and values laid out as a cache. */
export function cudaRopeVision(options: RopeVisionOptions & QueryFormat): KernelCall {
  const { label, H, D, spatialMergeSize, cacheFormat, out } = options;
  const { step, qkv, rope, q, keys, values } = options;
  return {
    label,
    program: cudaProgram('rope-vision', {
      variants: [`cache-${cacheFormat}`, `out-${out}`],
      constants: { H, D, MERGE: spatialMergeSize, Q_SCALE: queryScale(D, out) },
    }),
    bindings: { step, qkv, rope, q, keys, values },
    grid: [ceilDivide((3 * H * D) / 2, THREADS), { rows: 'patches', per: 1 }, 1],
  };
}
