import { describe, expect, it } from 'vitest';
import { narrowToBfloat16, narrowToFloat16 } from '../base/float16.ts';
import { SCALE_RULES, type WeightFormat } from '../model/quantization.ts';
import { TorchRandom } from '../model/goldens/torch-random.test-support.ts';
import { BlockKernel } from './block-kernel.ts';
import { BLOCK_KERNEL_WASM } from './block-kernel.wasm.ts';
import { assembleBlockKernel } from './build-block-kernel.mjs';
import { convertBlock, type BlockJob, type SourceDtype } from './convert-block.ts';

const DTYPES: readonly SourceDtype[] = ['F32', 'F16', 'BF16'];
const FORMATS: readonly WeightFormat[] = ['q4', 'q8', 'f16', 'f32'];

function jobOf(
  bytes: Uint8Array,
  dtype: SourceDtype,
  format: WeightFormat,
  rule: BlockJob['rule'],
): BlockJob {
  return { tensorName: 'x', path: '', byteOffset: 0, byteLength: bytes.byteLength, dtype, format, rule };
}

function toSource(values: Float32Array<ArrayBuffer>, dtype: SourceDtype): Uint8Array<ArrayBuffer> {
  if (dtype === 'F32') return new Uint8Array(values.slice().buffer);
  const bits = new Uint16Array(values.length);
  (dtype === 'F16' ? narrowToFloat16 : narrowToBfloat16)(values, bits);
  return new Uint8Array(bits.buffer);
}

function runKernel(kernel: BlockKernel, source: Uint8Array, job: BlockJob): ReturnType<typeof convertBlock> {
  kernel.reserve(source.byteLength).set(source);
  return kernel.convert(job);
}

/** Groups of many magnitudes: normal, tiny, subnormal in f16, all zero, one outlier, two extremes. */
function createValues(): Float32Array<ArrayBuffer> {
  const values = new TorchRandom(7).normal(32 * 512);
  return values.map((value, i) => {
    const group = i >> 5;
    switch (group % 8) {
      case 0:
        return value * 2 ** -(group / 16);
      case 1:
        return value * 2 ** -24;
      case 2:
        return 0;
      case 3:
        return (i & 31) === 5 ? -40 * value : value;
      case 4:
        return (i & 31) < 2 ? ((i & 1) === 0 ? -3 : 3) : value * 0.3;
      case 5:
        return value * 1000;
      default:
        return value * 0.02;
    }
  });
}

describe('BlockKernel', () => {
  const values = createValues();
  const kernel = new BlockKernel();

  for (const dtype of DTYPES) {
    for (const format of FORMATS) {
      it.each(SCALE_RULES)(
        `converts ${dtype} to ${format} as the plain form does, to the bit (%s)`,
        (rule) => {
          const source = toSource(values, dtype);
          const job = jobOf(source, dtype, format, rule);
          const actual = runKernel(kernel, source, job);
          const expected = convertBlock(source, job);
          expect(Buffer.compare(actual.values, expected.values)).toBe(0);
          expect(Buffer.compare(actual.scales, expected.scales)).toBe(0);
        },
      );
    }
  }

  it.each([1, 3, 17, 33])('converts %d values that are no whole vectors', (count) => {
    const part = new TorchRandom(8).normal(48).slice(0, count);
    for (const dtype of DTYPES) {
      for (const format of ['f16', 'f32'] as const) {
        const source = toSource(part, dtype);
        const job = jobOf(source, dtype, format, 'absmax');
        expect(runKernel(kernel, source, job)).toEqual(convertBlock(source, job));
      }
    }
  });

  it('does not find what an earlier piece left behind the present one', () => {
    const bad = toSource(new Float32Array(64).fill(NaN), 'F32');
    expect(() => runKernel(kernel, bad, jobOf(bad, 'F32', 'f32', 'absmax'))).toThrow('NaN');
    const good = toSource(new Float32Array(33), 'F32');
    expect(runKernel(kernel, good, jobOf(good, 'F32', 'f32', 'absmax')).values).toHaveLength(132);
  });

  it.each([
    ['F32', 'f32', Infinity],
    ['F32', 'f16', 65520],
    ['F32', 'q4', NaN],
    ['F32', 'q8', -Infinity],
    ['BF16', 'f16', 1e30],
    ['BF16', 'q4', 1e30],
    ['F16', 'f16', Infinity],
    ['F16', 'q4', NaN],
  ] as const)('refuses in %s for %s the value %d', (dtype, format, value) => {
    for (const rule of SCALE_RULES) {
      const source = toSource(
        values.map((one, i) => (i === 4321 ? value : one)),
        dtype,
      );
      expect(() => runKernel(kernel, source, jobOf(source, dtype, format, rule))).toThrow(
        expect.objectContaining({ code: 'checkpoint-invalid' }),
      );
    }
  });

  it('refuses a group whose squares f32 cannot hold', () => {
    const huge = toSource(
      new TorchRandom(9).normal(32).map((value) => value * 1e25),
      'BF16',
    );
    for (const rule of SCALE_RULES) {
      expect(() => runKernel(kernel, huge, jobOf(huge, 'BF16', 'q4', rule))).toThrow(
        expect.objectContaining({ code: 'checkpoint-invalid' }),
      );
    }
  });

  it('is built from block-kernel.wat', async () => {
    expect(BLOCK_KERNEL_WASM).toBe(Buffer.from(await assembleBlockKernel()).toString('base64'));
  });
});
