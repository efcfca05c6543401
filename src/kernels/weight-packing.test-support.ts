import { narrowToFloat16, widenFloat16 } from '../base/float16.ts';
import type { WeightFormat, WeightMatrix } from './kernel.ts';
import { randomFloats, randomGenerator, ref, type Data } from './parity.test-support.ts';

/** A random weight matrix in its stored form, and the numbers that it stands for. */
export interface PackedMatrix {
  readonly matrix: WeightMatrix;
  /** Buffers of the matrix's parts, by the names that `matrix` refers to. */
  readonly arrays: Readonly<Record<string, Data>>;
  /** [N, K] */
  readonly values: Float32Array<ArrayBuffer>;
}

/**
 * A random matrix [N, K] in a format, cut into parts of `partRows` rows (default: one part).
 * q4 and q8 need K to be a multiple of 32, and each part an even number of groups.
 */
export function packMatrix(
  name: string,
  { N, K, format, seed, partRows = [N] }: PackedMatrixOptions,
): PackedMatrix {
  const values = new Float32Array(N * K);
  const arrays: Record<string, Data> = {};
  let firstRow = 0;
  const parts = partRows.map((rowCount, index) => {
    const { stored, scales } = fillPart(
      values.subarray(firstRow * K, (firstRow + rowCount) * K),
      format,
      seed + index,
    );
    arrays[`${name}.${index}`] = stored;
    if (scales) arrays[`${name}.scale.${index}`] = scales;
    const part = { firstRow, rowCount, weight: ref(`${name}.${index}`) };
    firstRow += rowCount;
    return scales ? { ...part, scale: ref(`${name}.scale.${index}`) } : part;
  });
  return { matrix: { name, N, K, format, parts }, arrays, values };
}

/** What `packMatrix` makes. */
export interface PackedMatrixOptions {
  readonly N: number;
  readonly K: number;
  readonly format: WeightFormat;
  readonly seed: number;
  readonly partRows?: readonly number[];
}

interface StoredPart {
  readonly stored: Data;
  readonly scales?: Data;
}

/** Fills `values` with random numbers that the format holds exactly, and gives their stored form. */
function fillPart(values: Float32Array<ArrayBuffer>, format: WeightFormat, seed: number): StoredPart {
  switch (format) {
    case 'f32':
      values.set(randomFloats(values.length, seed));
      return { stored: values.slice() };
    case 'f16':
      return { stored: fillHalves(values, randomFloats(values.length, seed)) };
    case 'q4':
      return fillGroups(values, 4, 7, seed);
    case 'q8':
      return fillGroups(values, 8, 127, seed);
  }
}

/** Rounds `exact` to f16 into `values`, and gives the words of two halves. */
function fillHalves(values: Float32Array<ArrayBuffer>, exact: Float32Array): Uint32Array<ArrayBuffer> {
  const halves = new Uint16Array(Math.ceil(exact.length / 2) * 2);
  narrowToFloat16(exact as Float32Array<ArrayBuffer>, halves);
  widenFloat16(halves.subarray(0, exact.length), values);
  return new Uint32Array(halves.buffer);
}

/** Random levels and scales, every level of the format included; scales of both signs, as the search gives. */
function fillGroups(
  values: Float32Array<ArrayBuffer>,
  bits: number,
  zeroPoint: number,
  seed: number,
): StoredPart {
  const next = randomGenerator(seed);
  const scaleValues = new Float32Array(values.length / 32);
  const scales = fillHalves(
    scaleValues,
    scaleValues.map(() => ((0.5 + next()) / zeroPoint) * (next() < 0.2 ? -1 : 1)),
  );
  const levels = Uint8Array.from(values, () => Math.floor(next() * 2 ** bits));
  const stored = new Uint32Array((values.length * bits) / 32);
  levels.forEach((level, i) => {
    stored[Math.floor((i * bits) / 32)]! |= level << ((i * bits) % 32);
    values[i] = (level - zeroPoint) * scaleValues[Math.floor(i / 32)]!;
  });
  return { stored, scales };
}
