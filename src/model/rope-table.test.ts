import { describe, expect, it } from 'vitest';
import { createRopeTable } from './rope-table.ts';

describe('createRopeTable', () => {
  it('turns pair j of position p by p * theta^(-2j / dimensions), cosine first', () => {
    const table = createRopeTable(50, 8, 10000);
    expect(table).toHaveLength(50 * 4 * 2);
    for (const [position, pair] of [
      [0, 0],
      [1, 0],
      [7, 3],
      [49, 1],
    ]) {
      const angle = position * 10000 ** ((-2 * pair) / 8);
      const index = (position * 4 + pair) * 2;
      expect(table[index]).toBeCloseTo(Math.cos(angle), 5);
      expect(table[index + 1]).toBeCloseTo(Math.sin(angle), 5);
    }
  });

  it('rounds the angle to f32 before the functions, as the reference does at far positions', () => {
    const position = 65535;
    const table = createRopeTable(position + 1, 64, 10000);
    // theta^(-2/64) in f32, times the position in f32.
    const angle = Math.fround(position * Math.fround(10000 ** (-2 / 64)));
    expect(table[(position * 32 + 1) * 2]).toBe(Math.fround(Math.cos(angle)));
    expect(table[(position * 32 + 1) * 2 + 1]).toBe(Math.fround(Math.sin(angle)));
    expect(Math.cos(position * 10000 ** (-2 / 64))).not.toBeCloseTo(Math.cos(angle), 4);
  });

  it('stays on the unit circle', () => {
    const table = createRopeTable(300, 64, 500000);
    for (let index = 0; index < table.length; index += 2) {
      expect(table[index] ** 2 + table[index + 1] ** 2).toBeCloseTo(1, 6);
    }
  });
});
