import type { Device } from '../gpu/device.ts';
import { fillRandom } from '../kernels/fill-random.ts';
import type { BufferTable } from './buffer-table.ts';
import { PlanBuilder } from './plan.ts';
import { PlanRunner } from './plan-runner.ts';
import type { WeightLayout } from './weight-layout.ts';

/** Random bits that read as numbers of an ordinary size. */
interface BitPattern {
  readonly keep: number;
  readonly force: number;
}

/** Every nibble is a weight. */
const PACKED: BitPattern = { keep: 0xffffffff, force: 0 };
/** f16 scales of 0.0039 to 0.0078: with random nibbles, weights of the deviation 1 / sqrt(K) for K around 4,096. */
const SCALES: BitPattern = { keep: 0x03ff03ff, force: 0x1c001c00 };
/** f16 weights of either sign, 0.0078 to 0.0156. */
const HALVES: BitPattern = { keep: 0x83ff83ff, force: 0x20002000 };
/** f32 norm weights of 1 to 1.25. */
const NORMS: BitPattern = { keep: 0x001fffff, force: 0x3f800000 };
/** f32 biases and table entries of either sign, 0.03 to 0.06. */
const SMALL: BitPattern = { keep: 0x807fffff, force: 0x3d000000 };

/**
 * Fills the weight buffers of a layout on the device, without a byte from the host: for measuring a model of
 * the real size without its checkpoint. What it answers is noise.
 */
export async function fillWithRandomWeights(
  device: Device,
  buffers: BufferTable,
  layout: WeightLayout,
): Promise<void> {
  const builder = new PlanBuilder('random weights');
  let seed = 1;
  for (const [name, placements] of layout.placements) {
    const { keep, force } = patternOf(name);
    for (const { buffer, bufferOffset, byteLength, isWidened } of placements) {
      // Bindings begin at aligned offsets; what lies before within the alignment is of the same kind.
      const alignment = device.capabilities.limits.bindingAlignment;
      const byteOffset = Math.floor(bufferOffset / alignment) * alignment;
      const bytes = (isWidened ? byteLength * 2 : byteLength) + bufferOffset - byteOffset;
      const count = Math.ceil(bytes / 4);
      const words = { buffer, byteOffset, byteLength: count * 4 };
      builder.add(fillRandom({ label: name, count, seed: seed++, keep, force, words }));
    }
  }
  const runner = await PlanRunner.create(device, builder.build(), buffers);
  const recorder = device.createRecorder('random weights');
  runner.record(recorder, {});
  recorder.submit();
  await device.idle();
}

function patternOf(name: string): BitPattern {
  if (name.endsWith('.q_weight')) return PACKED;
  if (name.endsWith('.q_scale')) return SCALES;
  if (name.endsWith('.bias') || name.includes('position_embedding')) return SMALL;
  return name.includes('norm') ? NORMS : HALVES;
}
