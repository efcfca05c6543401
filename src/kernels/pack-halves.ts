import source from '#shaders/pack-halves.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall, RowCount } from './kernel.ts';

/** What `packHalves` reads and writes; shapes in brackets. */
export interface PackHalvesOptions {
  readonly label: string;
  readonly rows: RowCount;
  /** A multiple of 8. */
  readonly K: number;
  /** [rows, K] f32 */
  readonly x: BufferRef;
  /** [rows, K] f16 */
  readonly codes: BufferRef;
}

/** Rounds rows of f32 to f16. */
export function packHalves({ label, rows, K, x, codes }: PackHalvesOptions): KernelCall {
  const octets = K / 8;
  return {
    label,
    program: { shader: 'pack-halves', source, constants: { OCTETS: octets } },
    bindings: { x, codes },
    grid: [ceilDivide(octets, 64), { rows, per: 1 }, 1],
  };
}
