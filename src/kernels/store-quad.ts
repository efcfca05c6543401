import storeQuadBiasSource from '#shaders/preludes/store-quad-bias.wgsl?raw';
import storeQuadPlainSource from '#shaders/preludes/store-quad-plain.wgsl?raw';
import type { Prelude } from '../gpu/device.ts';
import { prelude, type WeightMatrix } from './kernel.ts';

/** `store_quad` without and with a bias. */
export const STORE_QUAD_PLAIN: Prelude = prelude('store-quad-plain', storeQuadPlainSource);
export const STORE_QUAD_BIAS: Prelude = prelude('store-quad-bias', storeQuadBiasSource);

/** Whether every part of a product can be stored so many outputs at a time. */
export function storesBy(unit: number, { N, parts }: WeightMatrix): boolean {
  return (
    N % unit === 0 && parts.every(({ firstRow, rowCount }) => firstRow % unit === 0 && rowCount % unit === 0)
  );
}
