import source from '#shaders/fill-random.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall } from './kernel.ts';

/** Invocations of a workgroup, and workgroups in x; fixed in the shader. */
const WORKGROUP = 256;
const GRID_X = 32768;

/** What `fillRandom` writes. */
export interface FillRandomOptions {
  readonly label: string;
  /** 32-bit words to fill. */
  readonly count: number;
  readonly seed: number;
  /** Bits that stay random. */
  readonly keep: number;
  /** Bits that are set. */
  readonly force: number;
  readonly words: BufferRef;
}

/** Fills a buffer with seeded random bits, some of them fixed. */
export function fillRandom({ label, count, seed, keep, force, words }: FillRandomOptions): KernelCall {
  const groups = ceilDivide(count, WORKGROUP);
  return {
    label,
    program: {
      shader: 'fill-random',
      source,
      constants: { COUNT: count, SEED: seed, KEEP: keep, FORCE: force },
    },
    bindings: { words },
    grid: [Math.min(groups, GRID_X), ceilDivide(groups, GRID_X), 1],
  };
}
