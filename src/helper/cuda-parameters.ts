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
 * @param addresses device addresses of the buffers, by name; those of a table in its order
 */
export function packParameters(
  { symbol, facts, constants }: ResolvedKernel,
  addresses: ReadonlyMap<string, Handle>,
  addressOf: (memory: ArrayBuffer) => Handle,
): { readonly memory: ArrayBuffer; readonly extra: Handle } {
  const mostBytes = facts.parameters.reduce((total, { bytes = 8 }) => total + bytes, 0);
  const memory = new ArrayBuffer(HEADER_BYTES + roundUp(mostBytes, 64));
  const view = new DataView(memory);
  let offset = 0;
  for (const { name, type, bytes } of facts.parameters) {
    const size = bytes ?? (type === 'buffer' ? 8 : 4);
    offset = roundUp(offset, Math.min(size, 8));
    const place = HEADER_BYTES + offset;
    if (type === 'table') {
      const entries = [...addresses].filter(([binding]) => binding.startsWith(`${name}.`));
      assert(
        entries.length > 0 && entries.length * 8 <= size,
        `"${symbol}" has no room for "${name}" of ${entries.length}`,
      );
      entries.forEach(([, address], index) => view.setBigUint64(place + index * 8, address, true));
    } else if (type === 'buffer') {
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
