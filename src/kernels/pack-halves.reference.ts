import { narrowToFloat16 } from '../base/float16.ts';

/** The largest finite f16. */
const LARGEST = 65504;

/** CPU twin of `pack-halves.wgsl`: values as f16 bits, those beyond its range at its end. */
export function packHalvesReference(values: Float32Array): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length);
  narrowToFloat16(
    values.map((value) => Math.max(-LARGEST, Math.min(LARGEST, value))) as Float32Array<ArrayBuffer>,
    halves,
  );
  return halves;
}
