import emitRowsSource from '#shaders/preludes/emit-int8-rows.wgsl?raw';
import emitSource from '#shaders/preludes/emit-int8.wgsl?raw';
import roundSource from '#shaders/preludes/round-int8.wgsl?raw';
import type { Prelude } from '../gpu/device.ts';
import { prelude, type BufferRef } from './kernel.ts';

/** `round_octet`, which rounds activations to int8 digits. */
export const ROUND_INT8: Prelude = prelude('round-int8', roundSource);

/** `emit_octet`, which writes them to buffers; needs `ROUND_INT8`. */
export const EMIT_INT8: Prelude = prelude('emit-int8', emitSource);

/** `emit_octet`, which lays them out for a product of many rows; needs `ROUND_INT8`. */
export const EMIT_INT8_ROWS: Prelude = prelude('emit-int8-rows', emitRowsSource);

/** Values that share a scale. */
export const INT8_GROUP = 32;

/** Rows of activations as two int8 digits a value; see `preludes/round-int8.wgsl` and `emit-int8.wgsl`. */
export interface Int8Activations {
  /** [rows, 4, K / 32] vectors of packed digits: 2 bytes a value */
  readonly codes: BufferRef;
  /** [rows, K / 32] step and 7 times the sum */
  readonly totals: BufferRef;
}

/** The same digits for a product of many rows; see `preludes/emit-int8-rows.wgsl`. */
export interface Int8Rows {
  /** [rows, K / 32, 4] vectors of packed digits: 2 bytes a value */
  readonly codes: BufferRef;
  /** [rows, K / 32] step and 7 times the sum */
  readonly totals: BufferRef;
  readonly layout: 'rows';
}

/** 32-bit words of the two buffers for so many values. */
export function int8Words(valueCount: number): { codes: number; totals: number } {
  return { codes: valueCount / 2, totals: (valueCount / INT8_GROUP) * 2 };
}
