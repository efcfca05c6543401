/** What the host and the step's kernel must agree on: numbers that stand in both. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { WeightMatrix } from '../kernel.ts';
import { fitsDecodeStep, stepBlocks, stepMailWords, STEP_SPLITS } from './decode-step.ts';

const SOURCE = ['step-shape.cuh', 'step-pair.cuh', 'decode-step.cu']
  .map((file) => readFileSync(new URL(`../../../shaders/cuda/${file}`, import.meta.url), 'utf8'))
  .join('');

/** The value of a constant of the kernel that is a plain number. */
function constant(name: string): number {
  const value = new RegExp(String.raw`constexpr u32 ${name} = (\d+);`).exec(SOURCE)?.[1];
  if (value === undefined) throw new Error(`the kernel has no number ${name}`);
  return Number(value);
}

function matrix(N: number, K: number): WeightMatrix {
  const weight = { buffer: 'weights' };
  return { name: 'w', N, K, format: 'q4', parts: [{ firstRow: 0, rowCount: N, weight, scale: weight }] };
}

/** Whether the kernel is asked to take a model of such sizes. */
function fits({
  C = 4096,
  F = 13_696,
  H = 32,
  D = 128,
  layers = 40,
  columns = 1,
  multiprocessors = 132,
} = {}): boolean {
  const qkv = matrix((H + 4) * D, C);
  const layer = { qkv, o: matrix(C, H * D), gateUp: matrix(2 * F, C), down: matrix(C, F) };
  const all = Array.from({ length: layers }, () => layer);
  return fitsDecodeStep({ columns, multiprocessors, C, F, H, KV: 2, D }, all, matrix(1024, C));
}

describe('the decode step in one kernel', () => {
  it('has room for as many splits as the kernel makes', () => {
    expect(STEP_SPLITS).toBe(constant('STEP_SPLITS'));
  });

  it('takes what its shared memory, its threads and its table of layers hold, and no more', () => {
    const warps = constant('STEP_WARPS');
    const widest = constant('MOST_K');
    const layers = constant('MOST_LAYERS');
    // A thread of the norm has eight channels.
    const channels = warps * 32 * 8;
    expect(fits()).toBe(true);
    expect([fits({ F: widest }), fits({ F: widest + 128 })]).toEqual([true, false]);
    expect([fits({ C: channels }), fits({ C: channels + 128 })]).toEqual([true, false]);
    expect([fits({ H: widest / 128 }), fits({ H: widest / 128 + 1 })]).toEqual([true, false]);
    expect([fits({ layers }), fits({ layers: layers + 1 })]).toEqual([true, false]);
  });

  it('takes more than two sequences where a pair of blocks has room for its rows and its tiles of `down`', () => {
    const [narrow, tiles] = [constant('MOST_NARROW_K'), constant('OWNED_TILES')];
    for (const columns of [3, 4]) {
      expect(fits({ columns })).toBe(true);
      expect([fits({ columns, H: narrow / 128 }), fits({ columns, H: narrow / 128 + 1 })]).toEqual([
        true,
        false,
      ]);
      // 256 tiles of `down`.
      const fewest = 256 / tiles;
      expect([
        fits({ columns, multiprocessors: fewest }),
        fits({ columns, multiprocessors: fewest - 1 }),
      ]).toEqual([true, false]);
    }
    expect(fits({ columns: 2, H: narrow / 128 + 1, multiprocessors: 2 })).toBe(true);
  });

  it('takes rows that end at half a unit with wide heads, and at any piece with others', () => {
    expect([fits({ F: 13_696 - 128 }), fits({ F: 13_696 - 32 }), fits({ C: 4096 - 64 })]).toEqual([
      true,
      false,
      false,
    ]);
    expect(fits({ C: 64, F: 352, H: 4, D: 32 })).toBe(true);
  });

  const real = { C: 4096, F: 13_696, H: 32, KV: 2, D: 128 };

  it('has no more blocks than the product of fewest tiles', () => {
    expect(stepBlocks({ ...real, multiprocessors: 132 })).toBe(132);
    // Pairs.
    expect(stepBlocks({ ...real, multiprocessors: 115 })).toBe(114);
    // 4,096 rows of `o` and `down` in tiles of 16.
    expect(stepBlocks({ ...real, multiprocessors: 300 })).toBe(256);
    // 192 rows of gates and as many of ups in tiles of 8 each; 160 rows of qkv in tiles of 16.
    expect(stepBlocks({ C: 512, F: 192, H: 16, KV: 2, D: 32, multiprocessors: 132 })).toBe(24);
    expect(stepBlocks({ C: 512, F: 192, H: 4, KV: 1, D: 32, multiprocessors: 132 })).toBe(12);
  });

  it('has a place for every value that blocks send', () => {
    const words = stepMailWords({ ...real, columns: 2 });
    expect(words.sent_qkv).toBe((2 * 36 * 128) / 2);
    expect(words.sent_parts).toBe((2 * 32 * STEP_SPLITS * 128) / 2);
    expect(words.sent_activated).toBe(13_696);
    expect(words.reduced).toBe(2 * 4096);
    // Of each of 256 tiles, with a word for each of as many sequences as the kernel takes.
    expect(words.projected_squares).toBe(256 * 4);
    // Each is a parameter of the kernel.
    for (const name of Object.keys(words)) expect(SOURCE).toMatch(new RegExp(`[*] ?${name}[,)]`));
  });
});
