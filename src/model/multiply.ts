import type { KernelCall } from '../kernels/kernel.ts';
import { matmulDirect } from '../kernels/matmul-direct.ts';
import { matmul, type MatmulOptions } from '../kernels/matmul.ts';
import { matvecDirect } from '../kernels/matvec-direct.ts';
import { matvec, type MatvecOptions } from '../kernels/matvec.ts';
import type { CompileOptions } from './compile-options.ts';

/** Many rows times a weight, in the variant that the device runs best. */
export function multiply({ products }: CompileOptions, product: MatmulOptions): KernelCall[] {
  return products === 'direct' ? matmulDirect(product) : matmul(product);
}

/** The few rows of a decode step times a weight, in the variant that the device runs best. */
export function multiplyColumns(
  { products, reduction, matvecWorkgroup: workgroup }: CompileOptions,
  product: Omit<MatvecOptions, 'reduction' | 'workgroup'>,
): KernelCall[] {
  return products === 'direct' ? matvecDirect(product) : matvec({ ...product, reduction, workgroup });
}
