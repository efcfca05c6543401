import { describe, expect, it } from 'vitest';
import { useDevice } from '../kernels/parity.test-support.ts';
import { probeAllocation } from './allocation-probe.ts';
import type { BufferDescriptor } from './device.ts';
import { createTightDevice } from './tight-device.test-support.ts';

const MIB = 2 ** 20;

function buffers(...byteLengths: readonly number[]): BufferDescriptor[] {
  return byteLengths.map((byteLength, index) => ({
    label: `planned ${index}`,
    byteLength,
    usage: 'storage',
  }));
}

describe('probeAllocation', () => {
  const device = useDevice();

  it('proves that there is room, and leaves none of it taken', async () => {
    const before = device().allocatedBytes;
    const proof = await probeAllocation(device(), buffers(MIB, 4 * MIB, 16));
    expect(proof).toEqual({ fits: true, allocatedBytes: 5 * MIB + 16, refusedBytes: 0 });
    expect(device().allocatedBytes).toBe(before);
  });

  it('tells how much there was room for, and frees it', async () => {
    const before = device().allocatedBytes;
    const tight = createTightDevice(device(), before + 6 * MIB);
    const proof = await probeAllocation(tight, buffers(4 * MIB, MIB, 2 * MIB, MIB));
    expect(proof).toEqual({ fits: false, allocatedBytes: 5 * MIB, refusedBytes: 2 * MIB });
    expect(device().allocatedBytes).toBe(before);
    expect(await probeAllocation(tight, buffers(4 * MIB, MIB))).toMatchObject({ fits: true });
  });

  it('touches the buffers of a real GPU all together', async () => {
    const { capabilities } = device();
    const hardware = new Proxy(device(), {
      get: (target, key) => {
        if (key === 'capabilities') return { ...capabilities, isSoftware: false };
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
    expect(await probeAllocation(hardware, buffers(MIB, 2 * MIB))).toMatchObject({ fits: true });
  });

  it('reports a buffer beyond the limits, and frees what came before it', async () => {
    const before = device().allocatedBytes;
    const { maxBufferBytes } = device().capabilities.limits;
    const probing = probeAllocation(device(), buffers(MIB, maxBufferBytes + 4));
    await expect(probing).rejects.toMatchObject({ code: 'limit-exceeded', limit: maxBufferBytes });
    expect(device().allocatedBytes).toBe(before);
  });

  it('stops when it is aborted, and frees what it had', async () => {
    const before = device().allocatedBytes;
    const probing = probeAllocation(device(), buffers(MIB, MIB), { signal: AbortSignal.abort() });
    await expect(probing).rejects.toMatchObject({ name: 'AbortError' });
    expect(device().allocatedBytes).toBe(before);
  });
});
