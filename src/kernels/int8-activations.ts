import emitSharedSource from '#shaders/preludes/emit-int8-shared.wgsl?raw';
import emitSource from '#shaders/preludes/emit-int8.wgsl?raw';
import type { Prelude } from '../gpu/device.ts';
import { prelude, type BufferRef } from './kernel.ts';

/** `emit_group`, which writes activations as int8 digits. */
export const EMIT_INT8: Prelude = prelude('emit-int8', emitSource);

/** `emit_quad`, which does the same with eight invocations a group. */
export const EMIT_INT8_SHARED: Prelude = prelude('emit-int8-shared', emitSharedSource);

/** Values that share a scale. */
export const INT8_GROUP = 32;

/** Rows of activations as two int8 digits a value; see `preludes/emit-int8.wgsl`. */
export interface Int8Activations {
  /** [rows, K / 32, 4] vectors of packed digits: 2 bytes a value */
  readonly codes: BufferRef;
  /** [rows, K / 32] scale and 7 times the sum */
  readonly totals: BufferRef;
}

/** 32-bit words of the two buffers for so many values. */
export function int8Words(valueCount: number): { codes: number; totals: number } {
  return { codes: valueCount / 2, totals: (valueCount / INT8_GROUP) * 2 };
}
