import { attentionMatrix, fitsAttentionMatrix } from '../kernels/attention-matrix.ts';
import { attentionTile, type AttentionTileOptions } from '../kernels/attention-tile.ts';
import { attentionWide, fitsAttentionWide } from '../kernels/attention-wide.ts';
import { int8Words, type Int8Rows } from '../kernels/int8-activations.ts';
import type { KernelCall } from '../kernels/kernel.ts';
import { matmulDirect } from '../kernels/matmul-direct.ts';
import { fitsMatmulInt8, matmulInt8 } from '../kernels/matmul-int8.ts';
import { fitsMatmulMatrix, matmulMatrix, MATRIX_SIDE } from '../kernels/matmul-matrix.ts';
import { fitsMatmulTile, matmulTile } from '../kernels/matmul-tile.ts';
import { matmul, type MatmulOptions } from '../kernels/matmul.ts';
import { matvecDirect } from '../kernels/matvec-direct.ts';
import { matvec, type MatvecOptions } from '../kernels/matvec.ts';
import { packHalves } from '../kernels/pack-halves.ts';
import { quantizeActivations } from '../kernels/quantize-activations.ts';
import type { CompileOptions } from './compile-options.ts';
import type { PlanBuilder } from './plan.ts';

/** What products of many rows are compiled with. */
export interface ManyRowsCompiler {
  readonly builder: PlanBuilder;
  readonly options: CompileOptions;
  /** Before the names of the scratch buffers: Plans whose buffers grow at different times must not share them. */
  readonly scratch: string;
}

/** Many rows, at most `capacity`, times a weight, in the variant that the device runs best. */
export function multiply(
  compiler: ManyRowsCompiler,
  capacity: number,
  product: MatmulOptions,
): readonly KernelCall[] {
  const { manyRows, products, largeTiles } = compiler.options;
  const { weight, bias } = product;
  if (bias === undefined) {
    if (manyRows === 'matrix' && fitsMatmulMatrix(weight) && capacity % MATRIX_SIDE === 0) {
      return multiplyMatrix(compiler, capacity, product);
    }
    if (manyRows === 'int8' && fitsMatmulInt8(weight)) return multiplyInt8(compiler, capacity, product);
  }
  if (products === 'direct') return matmulDirect(product);
  return largeTiles && fitsMatmulTile(weight) ? matmulTile(product) : matmul(product);
}

function multiplyMatrix(
  { builder, scratch }: ManyRowsCompiler,
  capacity: number,
  { label, rows, weight, step, x, y }: MatmulOptions,
): readonly KernelCall[] {
  const { K } = weight;
  const codes = builder.buffer(`${scratch}.codes`, (capacity * K) / 2);
  return [
    packHalves({ label: `${label}.pack`, rows, K, x, codes }),
    ...matmulMatrix({ label, rows, weight, step, codes, y }),
  ];
}

/** Where the rounded input of the next int8 product of `capacity` rows lies; one place for all products. */
export function digitRows({ builder, scratch }: ManyRowsCompiler, capacity: number, K: number): Int8Rows {
  const words = int8Words(capacity * K);
  return {
    codes: builder.buffer(`${scratch}.codes`, words.codes),
    totals: builder.buffer(`${scratch}.totals`, words.totals),
    layout: 'rows',
  };
}

function multiplyInt8(
  compiler: ManyRowsCompiler,
  capacity: number,
  { label, rows, weight, step, x, y }: MatmulOptions,
): readonly KernelCall[] {
  const { K } = weight;
  const digits = digitRows(compiler, capacity, K);
  return [
    quantizeActivations({ label: `${label}.quantize`, rows, K, x, y: digits }),
    ...matmulInt8({ label, rows, weight, step, x: digits, y }),
  ];
}

/** Attention of a prompt's chunk or an image, in the variant that the device runs best. */
export function attendMany(
  { manyRows, largeTiles }: CompileOptions,
  attention: AttentionTileOptions,
): KernelCall {
  if (manyRows === 'matrix' && fitsAttentionMatrix(attention)) return attentionMatrix(attention);
  if (largeTiles && fitsAttentionWide(attention.D)) return attentionWide(attention);
  return attentionTile(attention);
}

/** The few rows of a decode step times a weight, in the variant that the device runs best. */
export function multiplyColumns(
  { products, reduction, matvecWorkgroup: workgroup }: CompileOptions,
  product: Omit<MatvecOptions, 'reduction' | 'workgroup'>,
): KernelCall[] {
  return products === 'direct' ? matvecDirect(product) : matvec({ ...product, reduction, workgroup });
}
