import { assert } from '../base/assert.ts';
import { roundUp } from '../base/maths.ts';
import type { Handle } from './cuda-driver.ts';
import type { ResolvedKernel } from './cuda-kernels.ts';

/** Markers of the `extra` argument of cuLaunchKernel. */
const LAUNCH_BUFFER_POINTER = 1n;
const LAUNCH_BUFFER_SIZE = 2n;
const LAUNCH_END = 0n;

/** Bytes before the packed parameters: five words of `extra` and the size that they point to, aligned. */
const HEADER_BYTES = 64;

/**
 * Packs a kernel's parameters by C's rules, together with the `extra` argument that points to them.
 *
 * @param addresses device addresses of the buffers, by name
 */
export function packParameters(
  { symbol, facts, constants }: ResolvedKernel,
  addresses: ReadonlyMap<string, Handle>,
  addressOf: (memory: ArrayBuffer) => Handle,
): { readonly memory: ArrayBuffer; readonly extra: Handle } {
  const memory = new ArrayBuffer(HEADER_BYTES + roundUp(facts.parameters.length * 8, 64));
  const view = new DataView(memory);
  let offset = 0;
  for (const { name, type } of facts.parameters) {
    const size = type === 'buffer' ? 8 : 4;
    offset = roundUp(offset, size);
    const place = HEADER_BYTES + offset;
    if (type === 'buffer') {
      const address = addresses.get(name);
      assert(address !== undefined, `"${symbol}" needs a binding for "${name}"`);
      view.setBigUint64(place, address, true);
    } else if (type === 'f32') {
      view.setFloat32(place, constants[name] as number, true);
    } else {
      view.setUint32(place, constants[name] as number, true);
    }
    offset += size;
  }
  const base = addressOf(memory);
  const header = [
    LAUNCH_BUFFER_POINTER,
    base + BigInt(HEADER_BYTES),
    LAUNCH_BUFFER_SIZE,
    base + 40n,
    LAUNCH_END,
    BigInt(offset),
  ];
  header.forEach((word, index) => view.setBigUint64(index * 8, word, true));
  return { memory, extra: base };
}
