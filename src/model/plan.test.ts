import { describe, expect, it } from 'vitest';
import { PlanBuilder } from './plan.ts';

describe('PlanBuilder', () => {
  it('keeps the larger size of a buffer that is named twice, and at least 16 bytes', () => {
    const builder = new PlanBuilder('plan');
    builder.buffer('a', 40);
    builder.buffer('a', 10);
    builder.buffer('b', 1, 'uniform');
    const { scratch, name } = builder.build();
    expect(name).toBe('plan');
    expect(scratch.get('a')).toEqual({ byteLength: 160, usage: 'storage' });
    expect(scratch.get('b')).toEqual({ byteLength: 16, usage: 'uniform' });
  });
});
