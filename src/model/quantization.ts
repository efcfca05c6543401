import { AutoglmError } from '../base/errors.ts';
import { product } from '../base/maths.ts';
import type { ExpectedTensor } from './tensor-names.ts';

/**
 * Weight formats of a model folder, named as MLC names them.
 *
 * - `q4f16_1`: 4 bits. Groups of 32 along the input, 8 values a uint32 (value r in bits 4r..4r+3), one f16
 *   scale a group, w = (q - 7) * scale. Linears of the decoder, embedding and head; the rest is f16.
 * - `q8f16_1`: 8 bits. The same with 4 values a uint32 (bits 8r..8r+7) and w = (q - 127) * scale.
 * - `q0f16`, `q0f32`: no quantisation.
 *
 * The group rule is `GroupQuantize` of mlc-llm (python/mlc_llm/quantization/group_quantization.py) in its NK
 * layout, with one deliberate difference: a scale may be negative and q may use all its values, see
 * `quantizeGroups`.
 */
export const QUANTIZATIONS = ['q4f16_1', 'q8f16_1', 'q0f16', 'q0f32'] as const;
export type Quantization = (typeof QUANTIZATIONS)[number];

/** Format of the vision tower's linears; `default` leaves them f16, or f32 in `q0f32`. */
export const VISION_QUANTIZATIONS = ['default', 'q4', 'q8', 'f16'] as const;
export type VisionQuantization = (typeof VISION_QUANTIZATIONS)[number];

/** `search` looks for the scale of least squared error; `absmax` is MLC's plain rule. */
export const SCALE_RULES = ['search', 'absmax'] as const;
export type ScaleRule = (typeof SCALE_RULES)[number];

/** How one tensor is stored. */
export type WeightFormat = 'q4' | 'q8' | 'f16' | 'f32';

/** Values that share a scale, along the input dimension. */
export const GROUP_SIZE = 32;

/** Values in one uint32. */
export const VALUES_PER_WORD: Readonly<Record<'q4' | 'q8', number>> = { q4: 8, q8: 4 };

/** What q has to be reduced by before it is multiplied by the scale. */
export const ZERO_POINT: Readonly<Record<'q4' | 'q8', number>> = { q4: 7, q8: 127 };

/** One array that a tensor is stored as. */
export interface StoredArray {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'uint32' | 'float16' | 'float32';
  readonly byteLength: number;
}

const TEXT_FORMAT: Readonly<Record<Quantization, WeightFormat>> = {
  q4f16_1: 'q4',
  q8f16_1: 'q8',
  q0f16: 'f16',
  q0f32: 'f32',
};

/**
 * The format of one tensor in a model folder.
 *
 * @throws AutoglmError `quantization-unsupported` when the decoder has an input width that groups of 32 do
 *   not divide. A vision linear of such a width stays f16 instead.
 */
export function weightFormat(
  tensor: ExpectedTensor,
  quantization: Quantization,
  visionQuantization: VisionQuantization = 'default',
): WeightFormat {
  const plain = quantization === 'q0f32' ? 'f32' : 'f16';
  const width = tensor.shape.at(-1)!;
  const divisible = width % GROUP_SIZE === 0;
  switch (tensor.role) {
    case 'text-linear':
    case 'embedding':
    case 'head': {
      const format = TEXT_FORMAT[quantization];
      if ((format === 'q4' || format === 'q8') && !divisible)
        throw indivisible(tensor.name, width, quantization);
      return format;
    }
    case 'vision-linear':
      if (visionQuantization === 'default') return plain;
      return divisible ? visionQuantization : 'f16';
    default:
      return plain;
  }
}

/** The arrays that hold a tensor in a format: one, or `NAME.q_weight` and `NAME.q_scale` when quantised. */
export function storedArrays(tensor: ExpectedTensor, format: WeightFormat): readonly StoredArray[] {
  const { name, shape } = tensor;
  if (format === 'f16') return [stored(name, shape, 'float16', 2)];
  if (format === 'f32') return [stored(name, shape, 'float32', 4)];
  const [N, K] = shape as [number, number];
  const base = name.replace(/\.weight$/, '');
  return [
    stored(`${base}.q_weight`, [N, K / VALUES_PER_WORD[format]], 'uint32', 4),
    stored(`${base}.q_scale`, [N, K / GROUP_SIZE], 'float16', 2),
  ];
}

function stored(
  name: string,
  shape: readonly number[],
  dtype: StoredArray['dtype'],
  elementBytes: number,
): StoredArray {
  return { name, shape, dtype, byteLength: product(shape) * elementBytes };
}

function indivisible(name: string, width: number, quantization: Quantization): AutoglmError {
  return new AutoglmError(
    'quantization-unsupported',
    `Cannot quantise "${name}" to ${quantization}: its input width ${width} is no multiple of ${GROUP_SIZE}.`,
    { value: width, limit: GROUP_SIZE, cure: 'Use --quant q0f16.' },
  );
}
