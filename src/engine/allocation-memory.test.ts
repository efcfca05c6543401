import { describe, expect, it } from 'vitest';
import { REFUSAL_MS, refusedBytes, withProof, withRefusal } from './allocation-memory.ts';

describe('AllocationRecord', () => {
  it('remembers the most that was allocated together', () => {
    expect(withProof(withProof(undefined, 10), 5)).toEqual({ provedBytes: 10 });
    expect(withProof(withProof(undefined, 5), 10)).toEqual({ provedBytes: 10 });
  });

  it('believes a refusal for a while', () => {
    const record = withRefusal(undefined, 100, 1000);
    expect(refusedBytes(record, 1000 + REFUSAL_MS - 1)).toBe(100);
    expect(refusedBytes(record, 1000 + REFUSAL_MS)).toBe(Infinity);
    expect(refusedBytes(undefined)).toBe(Infinity);
  });

  it('lets a proof end a refusal of no more bytes', () => {
    const record = withRefusal(undefined, 100, 1000);
    expect(withProof(record, 100)).toEqual({ provedBytes: 100 });
    expect(withProof(record, 99)).toEqual({ provedBytes: 99, refusedBytes: 100, refusedAt: 1000 });
  });

  it('no longer believes a proof of what is refused', () => {
    expect(withRefusal({ provedBytes: 200 }, 100, 1)).toEqual({
      provedBytes: 0,
      refusedBytes: 100,
      refusedAt: 1,
    });
    expect(withRefusal({ provedBytes: 50 }, 100, 1)).toMatchObject({ provedBytes: 50 });
  });
});
