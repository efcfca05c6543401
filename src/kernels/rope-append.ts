import source from '#shaders/rope-append.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, CacheFormat, KernelCall } from './kernel.ts';
import { APPEND_QUAD, cachePrelude, ROW } from './prelude-sources.ts';

/** What `ropeAppend` computes with; shapes in brackets. */
export interface RopeAppendOptions {
  readonly label: string;
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly rotaryDimensions: number;
  readonly mropeSections: readonly [number, number, number];
  readonly cacheFormat: CacheFormat;
  /** Positions that a slot of the cache holds. */
  readonly context: number;
  /** [T, (H + 2 KV) D] f32 */
  readonly qkv: BufferRef;
  /** [(H + 2 KV) D] f32 */
  readonly bias: BufferRef;
  /** [positions, rotaryDimensions / 2] cosine and sine, f32 */
  readonly rope: BufferRef;
  /** [T] `Row`s */
  readonly rows: BufferRef;
  /** [T, H, D] f32 */
  readonly q: BufferRef;
  /** [slots, KV, context, D] each, in the cache's format */
  readonly keys: BufferRef;
  readonly values: BufferRef;
}

/** Bias, M-RoPE on q and k, and the append to the KV cache. */
export function ropeAppend(options: RopeAppendOptions): KernelCall {
  const { label, H, KV, D, cacheFormat } = options;
  const { qkv, bias, rope, rows, q, keys, values } = options;
  return {
    label,
    program: {
      shader: 'rope-append',
      source,
      preludes: [ROW, cachePrelude(cacheFormat), APPEND_QUAD],
      constants: ropeConstants(options),
    },
    bindings: { qkv, bias, rope, rows, q, keys, values },
    grid: [ceilDivide(((H + 2 * KV) * D) / 4, 64), { rows: 'tokens', per: 1 }, 1],
  };
}

/** Constants of every shader that turns q and k. */
export function ropeConstants(
  options: Pick<RopeAppendOptions, 'H' | 'KV' | 'D' | 'rotaryDimensions' | 'mropeSections' | 'context'>,
): Record<string, number> {
  const { H, KV, D, rotaryDimensions, mropeSections, context } = options;
  return {
    H,
    KV,
    D,
    ROTARY_PAIRS: rotaryDimensions / 2,
    TIME_PAIRS: mropeSections[0],
    ROW_PAIRS: mropeSections[1],
    CONTEXT: context,
  };
}
