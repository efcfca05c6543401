import { describe, expect, it } from 'vitest';
import { useDevice } from '../kernels/parity.test-support.ts';
import { BufferTable } from './buffer-table.ts';
import { PlanBuilder } from './plan.ts';

describe('BufferTable', () => {
  const device = useDevice();

  it('makes a buffer once, and anew only where it is too small', async () => {
    const table = new BufferTable(device());
    const first = await table.ensure('hidden', { byteLength: 64, usage: 'storage' });
    expect(await table.ensure('hidden', { byteLength: 32, usage: 'storage' })).toBe(first);
    const larger = await table.ensure('hidden', { byteLength: 128, usage: 'storage' });
    expect(larger).not.toBe(first);
    expect(first.isDestroyed).toBe(true);
    expect(table.get('hidden')).toBe(larger);
    table.destroy();
  });

  it('makes the buffers of several Plans at the largest size that any of them asks for', async () => {
    const [small, large] = [8, 32].map((length) => {
      const builder = new PlanBuilder(`of ${length}`);
      builder.buffer('shared', length);
      builder.buffer(`own.${length}`, length);
      return builder.build();
    });
    const table = new BufferTable(device());
    await table.ensureScratch([large, small]);
    expect(['shared', 'own.8', 'own.32'].map((name) => table.get(name).byteLength)).toEqual([128, 32, 128]);
    table.destroy();
  });

  it('frees what it is told to, and everything in the end', async () => {
    const before = device().allocatedBytes;
    const table = new BufferTable(device());
    await table.ensure('keys.0', { byteLength: 256, usage: 'storage' });
    await table.ensure('hidden', { byteLength: 256, usage: 'storage' });
    expect(device().allocatedBytes).toBe(before + 512);
    table.release((name) => name.startsWith('keys.'));
    expect(device().allocatedBytes).toBe(before + 256);
    expect(() => table.get('keys.0')).toThrow('"keys.0"');
    table.destroy();
    expect(device().allocatedBytes).toBe(before);
  });

  it('refuses a buffer above the limit of the device by its name', async () => {
    const table = new BufferTable(device());
    const limit = device().capabilities.limits.maxBufferBytes;
    await expect(table.ensure('keys.7', { byteLength: limit + 4, usage: 'storage' })).rejects.toMatchObject({
      code: 'limit-exceeded',
      limit,
      message: expect.stringContaining('"keys.7"') as string,
    });
    expect(() => table.get('keys.7')).toThrow('"keys.7"');
  });
});
