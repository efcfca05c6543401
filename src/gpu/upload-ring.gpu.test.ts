import { afterEach, describe, expect, it } from 'vitest';
import { randomGenerator, useDevice } from '../kernels/parity.test-support.ts';
import type { DeviceBuffer, Uploads } from './device.ts';
import { UploadRing } from './upload-ring.ts';
import { openUploads } from './uploads.ts';
import { openNodeDevice } from './webgpu-node.ts';

const BYTES = 10_000;

function randomBytes(seed: number): Uint8Array<ArrayBuffer> {
  const next = randomGenerator(seed);
  return Uint8Array.from({ length: BYTES }, () => Math.floor(next() * 256));
}

describe('uploads', () => {
  const device = useDevice();
  const owned: { destroy(): void }[] = [];
  afterEach(() => owned.splice(0).forEach((one) => one.destroy()));

  async function createBuffer(label: string): Promise<DeviceBuffer> {
    const buffer = await device().createBuffer({ label, byteLength: BYTES, usage: 'storage' });
    owned.push(buffer);
    return buffer;
  }

  const ways: Record<string, () => Uploads> = {
    'a ring with slots smaller than a write': () =>
      new UploadRing(device().handle, { slotBytes: 256, slotCount: 3 }),
    'a ring with one slot': () => new UploadRing(device().handle, { slotBytes: 1024, slotCount: 1 }),
    "the device's own way": () => openUploads(device()),
    'plain writes': () => {
      const plain = new Proxy(device(), {
        get: (target, key) => {
          if (key === 'openUploads') return undefined;
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
        },
      });
      return openUploads(plain);
    },
  };

  it.each(Object.keys(ways))('%s brings pieces of any size to their places', async (name) => {
    const uploads = (ways[name] as () => Uploads)();
    owned.push(uploads);
    const [first, second] = [await createBuffer('first'), await createBuffer('second')];
    const expected = [randomBytes(1), randomBytes(2)];
    // The same memory for every piece, as a stream's buffer is.
    const memory = new Uint8Array(4096);
    const next = randomGenerator(3);
    for (let offset = 0; offset < BYTES;) {
      const byteLength = Math.min(BYTES - offset, 4 * Math.ceil(next() * 1000));
      for (const [index, target] of [first, second].entries()) {
        memory.set((expected[index] as Uint8Array).subarray(offset, offset + byteLength));
        await uploads.write(target, offset, memory.subarray(0, byteLength));
        memory.fill(0xee);
      }
      offset += byteLength;
    }
    await uploads.finish();
    for (const [index, target] of [first, second].entries()) {
      const bytes = Buffer.from(await device().read(target, 0, BYTES));
      expect(bytes.equals(expected[index] as Uint8Array)).toBe(true);
    }
  });

  it('fails with the loss of the device, not with an abort that nobody asked for', async () => {
    const other = await openNodeDevice();
    const buffer = await other.createBuffer({ label: 'lost', byteLength: BYTES, usage: 'storage' });
    const uploads = other.openUploads();
    await uploads.write(buffer, 0, new Uint8Array(BYTES));
    other.handle.destroy();
    await expect(uploads.finish()).rejects.toMatchObject({ code: 'device-lost' });
    other.destroy();
  });
});
