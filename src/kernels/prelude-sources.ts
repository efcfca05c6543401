import appendQuadSource from '#shaders/preludes/append-quad.wgsl?raw';
import cacheF16Source from '#shaders/preludes/cache-f16.wgsl?raw';
import cacheF32Source from '#shaders/preludes/cache-f32.wgsl?raw';
import cacheQ8Source from '#shaders/preludes/cache-q8.wgsl?raw';
import dotGroupSource from '#shaders/preludes/dot-group-int8.wgsl?raw';
import fourOutputsSource from '#shaders/preludes/four-outputs.wgsl?raw';
import splitRunsSource from '#shaders/preludes/split-runs.wgsl?raw';
import patchPlaceSource from '#shaders/preludes/patch-place.wgsl?raw';
import quadSource from '#shaders/preludes/quad-int8.wgsl?raw';
import rowSource from '#shaders/preludes/row.wgsl?raw';
import stepSource from '#shaders/preludes/step.wgsl?raw';
import storeBiasSource from '#shaders/preludes/store-bias.wgsl?raw';
import storePlainSource from '#shaders/preludes/store-plain.wgsl?raw';
import weightF16Source from '#shaders/preludes/weight-f16.wgsl?raw';
import weightF32Source from '#shaders/preludes/weight-f32.wgsl?raw';
import weightQ4Source from '#shaders/preludes/weight-q4.wgsl?raw';
import weightQ8Source from '#shaders/preludes/weight-q8.wgsl?raw';
import type { Prelude } from '../gpu/device.ts';
import { prelude, type CacheFormat, type WeightFormat } from './kernel.ts';

/** `struct Row`, one token of a step. */
export const ROW: Prelude = prelude('row', rowSource);
/** `step`, the uniform with a step's counts. */
export const STEP: Prelude = prelude('step', stepSource);
/** `patch_place`, the order of patches in the image. */
export const PATCH_PLACE: Prelude = prelude('patch-place', patchPlaceSource);
/** `four_outputs`, which reads a block of a weight for the kernels without workgroup memory. */
export const FOUR_OUTPUTS: Prelude = prelude('four-outputs', fourOutputsSource);
/** `dot_group`, 32 weights of 4 bits times int8 digits. */
export const DOT_GROUP: Prelude = prelude('dot-group-int8', dotGroupSource);
/** `Quad`, weights of four rows, and their sums over a subgroup. */
export const QUAD: Prelude = prelude('quad-int8', quadSource);
/** `append_quad`, which turns outputs of the qkv product and puts them where they belong; needs a cache prelude. */
export const APPEND_QUAD: Prelude = prelude('append-quad', appendQuadSource);
/** `splits_in_use` and `next_tile`: which keys a split of a decode attention takes. */
export const SPLIT_RUNS: Prelude = prelude('split-runs', splitRunsSource);
/** `store` without and with a bias. */
export const STORE_PLAIN: Prelude = prelude('store-plain', storePlainSource);
export const STORE_BIAS: Prelude = prelude('store-bias', storeBiasSource);

const WEIGHTS: Readonly<Record<WeightFormat, Prelude>> = {
  f32: prelude('weight-f32', weightF32Source),
  f16: prelude('weight-f16', weightF16Source),
  q4: prelude('weight-q4', weightQ4Source),
  q8: prelude('weight-q8', weightQ8Source),
};

const CACHES: Readonly<Record<CacheFormat, Prelude>> = {
  f16: prelude('cache-f16', cacheF16Source),
  f32: prelude('cache-f32', cacheF32Source),
  q8: prelude('cache-q8', cacheQ8Source),
};

/** `weight8`, which reads a matrix of the format. */
export function weightPrelude(format: WeightFormat): Prelude {
  return WEIGHTS[format];
}

/** `pack_quad` and `unpack_quad` of the KV cache's format; all but `q8` have `pack_pair` as well. */
export function cachePrelude(format: CacheFormat): Prelude {
  return CACHES[format];
}
