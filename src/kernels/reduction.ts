import subgroupSource from '#shaders/preludes/reduce-subgroup.wgsl?raw';
import workgroupSource from '#shaders/preludes/reduce-workgroup.wgsl?raw';
import type { Prelude } from '../gpu/device.ts';
import { prelude, type Reduction } from './kernel.ts';

/** The prelude that defines `reduce_sum`, `reduce_sum4` and `reduce_max` over a workgroup. */
export function reductionPrelude(reduction: Reduction): Prelude {
  return reduction === 'subgroup'
    ? prelude('reduce-subgroup', subgroupSource)
    : prelude('reduce-workgroup', workgroupSource);
}
