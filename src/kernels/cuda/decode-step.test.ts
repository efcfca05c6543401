/** What the host and the step's kernel must agree on: numbers that stand in both. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { WeightMatrix } from '../kernel.ts';
import { fitsDecodeStep, STEP_SPLITS } from './decode-step.ts';

const SOURCE = readFileSync(new URL('../../../shaders/cuda/decode-step.cu', import.meta.url), 'utf8');

/** The value of a constant of the kernel that is a plain number. */
function constant(name: string): number {
  const value = new RegExp(String.raw`constexpr u32 ${name} = (\d+);`).exec(SOURCE)?.[1];
  if (value === undefined) throw new Error(`decode-step.cu has no number ${name}`);
  return Number(value);
}

function matrix(N: number, K: number): WeightMatrix {
  const weight = { buffer: 'weights' };
  return { name: 'w', N, K, format: 'q4', parts: [{ firstRow: 0, rowCount: N, weight, scale: weight }] };
}

/** Whether the kernel is asked to take a model of such sizes. */
function fits({ C = 4096, F = 13_696, H = 32, D = 128, layers = 40 } = {}): boolean {
  const qkv = matrix((H + 4) * D, C);
  const layer = { qkv, o: matrix(C, H * D), gateUp: matrix(2 * F, C), down: matrix(C, F) };
  const all = Array.from({ length: layers }, () => layer);
  return fitsDecodeStep({ C, F, H, D }, all, matrix(1024, C));
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
    expect([fits({ F: widest }), fits({ F: widest + 32 })]).toEqual([true, false]);
    expect([fits({ C: channels }), fits({ C: channels + 32 })]).toEqual([true, false]);
    expect([fits({ H: widest / 128 }), fits({ H: widest / 128 + 1 })]).toEqual([true, false]);
    expect([fits({ layers }), fits({ layers: layers + 1 })]).toEqual([true, false]);
  });
});
