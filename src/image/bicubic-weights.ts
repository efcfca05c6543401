/** Reach of the cubic kernel to each side, in samples, before it is widened for shrinking. */
const KERNEL_REACH = 2;

/** Keys' parameter. PIL and torch's antialiased filter use -0.5; torch's plain bicubic uses -0.75. */
const KEYS_A = -0.5;

/** Weights are 16-bit integers: the precision is the largest that keeps the greatest weight below this. */
const WEIGHT_LIMIT = 1 << 15;
const MAX_PRECISION_BITS = 22;

/** How every output sample of one axis is mixed from neighbouring input samples, in fixed point. */
export interface AxisWeights {
  /** Greatest number of input samples of any output sample: the row length of `weights`. */
  readonly tapCount: number;
  /** `[outputLength]`: first input sample of each output sample; `starts[i] + tapCount` stays in range. */
  readonly starts: Int32Array;
  /** `[outputLength, tapCount]`, scaled by `2 ** precisionBits`; unused taps are 0. */
  readonly weights: Int32Array;
  /** Fraction bits of the weights. */
  readonly precisionBits: number;
}

interface Taps {
  readonly start: number;
  readonly values: readonly number[];
}

/**
 * Antialiased bicubic weights from `inputLength` to `outputLength` samples.
 *
 * Source: torch 2.13, `_compute_index_ranges_int16_weights` in `aten/src/ATen/native/cpu/UpSampleKernel.cpp`,
 * the path torchvision takes for 8-bit images. It follows PIL's `Resample.c`, but rounds to 16-bit weights.
 */
export function createBicubicWeights(inputLength: number, outputLength: number): AxisWeights {
  const rows = Array.from({ length: outputLength }, (_, index) => toTaps(index, inputLength, outputLength));
  const tapCount = Math.max(...new Set(rows.map((row) => row.values.length)));
  const precisionBits = toPrecisionBits(rows);

  const starts = new Int32Array(outputLength);
  const weights = new Int32Array(outputLength * tapCount);
  rows.forEach((row, index) => {
    // Rows near the end move left, so that the resize loops may always read `tapCount` samples.
    const start = Math.min(row.start, inputLength - tapCount);
    starts[index] = start;
    const offset = index * tapCount + row.start - start;
    row.values.forEach((value, tap) => {
      weights[offset + tap] = roundAwayFromZero(value * 2 ** precisionBits);
    });
  });
  return { tapCount, starts, weights, precisionBits };
}

/** Input samples and normalised weights of one output sample. */
function toTaps(index: number, inputLength: number, outputLength: number): Taps {
  const scale = inputLength / outputLength;
  const widening = Math.max(scale, 1);
  const support = KERNEL_REACH * widening;
  const center = scale * (index + 0.5);
  const start = Math.max(Math.trunc(center - support + 0.5), 0);
  const end = Math.min(Math.trunc(center + support + 0.5), inputLength);
  const count = Math.min(end - start, Math.ceil(support) * 2 + 1);
  // torch multiplies by the inverse; dividing would differ in the last bit.
  const inverseWidening = 1 / widening;
  const raw = Array.from({ length: count }, (_, tap) =>
    cubicKernel((tap + start - center + 0.5) * inverseWidening),
  );
  const total = raw.reduce((sum, value) => sum + value, 0);
  return { start, values: raw.map((value) => value / total) };
}

/** Keys' cubic convolution kernel. */
function cubicKernel(position: number): number {
  const x = Math.abs(position);
  if (x < 1) return ((KEYS_A + 2) * x - (KEYS_A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * KEYS_A;
  return 0;
}

function toPrecisionBits(rows: readonly Taps[]): number {
  const greatest = rows.reduce((most, row) => Math.max(most, ...row.values), 0);
  let bits = 0;
  while (bits < MAX_PRECISION_BITS && Math.trunc(0.5 + greatest * 2 ** (bits + 1)) < WEIGHT_LIMIT) bits += 1;
  return bits;
}

function roundAwayFromZero(value: number): number {
  return Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
}
