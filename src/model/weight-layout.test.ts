import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import type { WeightMatrix } from '../kernels/kernel.ts';
import { parseModelConfig, type ModelConfig } from './config.ts';
import { storedArrays, weightFormat, type Quantization, type VisionQuantization } from './quantization.ts';
import { createSyntheticConfig } from './synthetic.ts';
import { expectedTensors } from './tensor-names.ts';
import { layOutWeights, type LayoutLimits, type StoredTensor, type WeightLayout } from './weight-layout.ts';

type Json = Record<string, unknown>;

interface SizedTensor extends StoredTensor {
  readonly byteLength: number;
}

/** What every WebGPU device grants. */
const LEAST: LayoutLimits = {
  maxBufferBytes: 2 ** 28,
  maxBindingBytes: 2 ** 27,
  bindingAlignment: 256,
};
/** So small that most matrices are cut by rows, some within a joined part. */
const TIGHT: LayoutLimits = { maxBufferBytes: 32768, maxBindingBytes: 20480, bindingAlignment: 256 };

/** A model with heads, widths and layers of a handful. */
function createSmallConfig(): ModelConfig {
  const config = createSyntheticConfig(2, 1);
  return parseModelConfig({
    ...config,
    image_token_id: 0,
    image_start_token_id: 1,
    image_end_token_id: 2,
    text_config: {
      ...(config['text_config'] as Json),
      hidden_size: 64,
      num_attention_heads: 6,
      num_key_value_heads: 2,
      head_dim: 16,
      intermediate_size: 96,
      rope_scaling: { mrope_section: [1, 1, 2] },
      vocab_size: 1202,
      eos_token_id: 3,
    },
    vision_config: {
      ...(config['vision_config'] as Json),
      hidden_size: 32,
      num_heads: 2,
      intermediate_size: 96,
      out_hidden_size: 64,
      image_size: 56,
    },
  });
}

function storedTensors(
  config: ModelConfig,
  quantization: Quantization,
  vision: VisionQuantization = 'default',
): Map<string, SizedTensor> {
  const arrays = expectedTensors(config).flatMap((tensor) =>
    storedArrays(tensor, weightFormat(tensor, quantization, vision)),
  );
  return new Map(arrays.map((array) => [array.name, array]));
}

/** Every matrix of a layout with the stored tensors whose rows it joins. */
function joinedMatrices({ text, vision }: WeightLayout): [WeightMatrix, string[]][] {
  const layers = text.layers.flatMap((layer, index): [WeightMatrix, string[]][] => {
    const name = `model.language_model.layers.${index}`;
    return [
      [layer.qkv, ['q', 'k', 'v'].map((part) => `${name}.self_attn.${part}_proj`)],
      [layer.o, [`${name}.self_attn.o_proj`]],
      [layer.gateUp, [`${name}.mlp.gate_up_proj`]],
      [layer.down, [`${name}.mlp.down_proj`]],
    ];
  });
  const blocks = vision.blocks.flatMap((block, index): [WeightMatrix, string[]][] => {
    const name = `model.visual.blocks.${index}`;
    return [
      [block.qkv, [`${name}.attn.qkv`]],
      [block.proj, [`${name}.attn.proj`]],
      [block.gateUp, ['gate', 'up'].map((part) => `${name}.mlp.${part}_proj`)],
      [block.down, [`${name}.mlp.down_proj`]],
    ];
  });
  return [
    [text.embedding, ['model.language_model.embed_tokens']],
    [text.head, ['lm_head']],
    ...layers,
    ...blocks,
    [vision.patchEmbed, ['model.visual.patch_embed.proj']],
    [vision.downsample, ['model.visual.downsample']],
    [vision.mergerProj, ['model.visual.merger.proj']],
    [vision.mergerGateUp, ['gate', 'up'].map((part) => `model.visual.merger.${part}_proj`)],
    [vision.mergerDown, ['model.visual.merger.down_proj']],
  ];
}

/** The buffers as the placements fill them; each word tells its tensor and its place there. */
function simulateUpload(layout: WeightLayout, tensors: ReadonlyMap<string, SizedTensor>) {
  const buffers = new Map(
    [...layout.buffers].map(([name, byteLength]) => [name, new Uint16Array(byteLength / 2)]),
  );
  const sources = new Map(
    [...tensors.values()].map(({ name, byteLength }, tensor) => [
      name,
      Uint16Array.from({ length: byteLength / 2 }, (_, place) => 1 + ((tensor * 7919 + place * 31) % 65535)),
    ]),
  );
  for (const [name, placements] of layout.placements) {
    const source = sources.get(name) as Uint16Array;
    for (const { tensorOffset, byteLength, buffer, bufferOffset, isWidened } of placements) {
      if (isWidened) continue;
      const piece = source.subarray(tensorOffset / 2, (tensorOffset + byteLength) / 2);
      (buffers.get(buffer) as Uint16Array).set(piece, bufferOffset / 2);
    }
  }
  return { buffers, sources };
}

function toBytes(pieces: readonly Uint16Array[]): Buffer {
  return Buffer.concat(
    pieces.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  );
}

function expectSound(layout: WeightLayout, tensors: ReadonlyMap<string, SizedTensor>, limits: LayoutLimits) {
  const targets = new Map<string, [number, number][]>();
  expect([...layout.placements.keys()].toSorted()).toEqual([...tensors.keys()].toSorted());
  for (const [name, placements] of layout.placements) {
    let next = 0;
    for (const place of placements.toSorted((a, b) => a.tensorOffset - b.tensorOffset)) {
      expect(place.tensorOffset, `${name} is covered once`).toBe(next);
      expect(place.bufferOffset % 4).toBe(0);
      next += place.byteLength;
      const from = place.bufferOffset;
      const to = from + place.byteLength * (place.isWidened ? 2 : 1);
      targets.set(place.buffer, [...(targets.get(place.buffer) ?? []), [from, to]]);
    }
    expect(next, `${name} is covered to its end`).toBe(tensors.get(name)?.byteLength);
  }
  for (const [name, ranges] of targets) {
    const byteLength = layout.buffers.get(name) as number;
    expect(byteLength).toBeLessThanOrEqual(limits.maxBufferBytes);
    let end = 0;
    for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
      expect(from, `${name} has no overlap`).toBeGreaterThanOrEqual(end);
      end = to;
    }
    expect(end).toBeLessThanOrEqual(byteLength);
  }
  expect([...targets.keys()].toSorted()).toEqual([...layout.buffers.keys()].toSorted());
}

describe('layOutWeights', () => {
  const config = createSmallConfig();

  for (const [title, limits] of [
    ['what every device grants', LEAST],
    ['tight', TIGHT],
  ] as const) {
    for (const [quantization, vision] of [
      ['q0f32', 'default'],
      ['q0f16', 'default'],
      ['q4f16_1', 'default'],
      ['q4f16_1', 'q8'],
      ['q8f16_1', 'q4'],
    ] as const) {
      it(`places every byte once, at ${quantization} with ${vision} vision, under limits that are ${title}`, () => {
        const tensors = storedTensors(config, quantization, vision);
        expectSound(layOutWeights(config, tensors, limits), tensors, limits);
      });

      it(`joins rows in order, at ${quantization} with ${vision} vision, under limits that are ${title}`, () => {
        const tensors = storedTensors(config, quantization, vision);
        const layout = layOutWeights(config, tensors, limits);
        const { buffers, sources } = simulateUpload(layout, tensors);
        for (const [matrix, names] of joinedMatrices(layout)) {
          let row = 0;
          const read = { weight: [] as Uint16Array[], scale: [] as Uint16Array[] };
          for (const { firstRow, rowCount, weight, scale } of matrix.parts) {
            expect(firstRow).toBe(row);
            row += rowCount;
            for (const [kind, ref] of [
              ['weight', weight],
              ['scale', scale],
            ] as const) {
              if (!ref) continue;
              const { buffer, byteOffset = 0, byteLength = 0 } = ref;
              expect(byteOffset % limits.bindingAlignment).toBe(0);
              expect(byteLength).toBeLessThanOrEqual(limits.maxBindingBytes);
              const isQuantized = matrix.format === 'q4' || matrix.format === 'q8';
              const rowBytes = {
                weight: isQuantized
                  ? (matrix.K * (matrix.format === 'q4' ? 4 : 8)) / 8
                  : matrix.K * (matrix.format === 'f16' ? 2 : 4),
                scale: matrix.K / 16,
              }[kind];
              const words = buffers.get(buffer) as Uint16Array;
              read[kind].push(words.subarray(byteOffset / 2, (byteOffset + rowCount * rowBytes) / 2));
            }
          }
          expect(row, matrix.name).toBe(matrix.N);
          const suffix = matrix.format.startsWith('q') ? '.q_weight' : '.weight';
          const joined = (ending: string): Buffer =>
            toBytes(names.map((name) => sources.get(`${name}${ending}`) as Uint16Array));
          expect(toBytes(read.weight).equals(joined(suffix)), matrix.name).toBe(true);
          if (matrix.format.startsWith('q')) {
            expect(toBytes(read.scale).equals(joined('.q_scale')), matrix.name).toBe(true);
          }
        }
      });
    }
  }

  it('cuts the head within what one binding holds, at a fourth row', () => {
    const tensors = storedTensors(config, 'q4f16_1');
    const { head } = layOutWeights(config, tensors, TIGHT).text;
    expect(head.parts.map(({ rowCount }) => rowCount)).toEqual([640, 562]);
    expect(layOutWeights(config, tensors, LEAST).text.head.parts).toHaveLength(1);
  });

  it('widens f16 vectors to f32 and gives q, k and v one bias', () => {
    const layout = layOutWeights(config, storedTensors(config, 'q4f16_1'), LEAST);
    const { qkvBias, inputNorm } = layout.text.layers[1];
    const attention = 'model.language_model.layers.1.self_attn';
    const start = qkvBias.byteOffset as number;
    expect(qkvBias.byteLength).toBe((96 + 32 + 32) * 4);
    expect(['q', 'k', 'v'].map((part) => layout.placements.get(`${attention}.${part}_proj.bias`))).toEqual(
      [
        [0, 96],
        [96, 32],
        [128, 32],
      ].map(([first, count]) => [
        {
          tensorOffset: 0,
          byteLength: count * 2,
          buffer: qkvBias.buffer,
          bufferOffset: start + first * 4,
          isWidened: true,
        },
      ]),
    );
    expect(inputNorm.byteLength).toBe(64 * 4);
  });

  it('leaves f32 vectors as they are', () => {
    const layout = layOutWeights(config, storedTensors(config, 'q0f32'), LEAST);
    expect([...layout.placements.values()].flat().some(({ isWidened }) => isWidened)).toBe(false);
  });

  it('lays out the 9B in 4 bits without a buffer above 1 GiB or a binding above what is granted', () => {
    const nine = parseModelConfig(createSyntheticConfig());
    const tensors = storedTensors(nine, 'q4f16_1');
    const stored = [...tensors.values()].reduce((total, { byteLength }) => total + byteLength, 0);
    expect(stored / 1e9).toBeCloseTo(7.07, 1);
    for (const limits of [LEAST, { ...LEAST, maxBufferBytes: 2 ** 32, maxBindingBytes: 2 ** 31 }]) {
      const layout = layOutWeights(nine, tensors, limits);
      expectSound(layout, tensors, { ...limits, maxBufferBytes: Math.min(2 ** 30, limits.maxBufferBytes) });
      const total = [...layout.buffers.values()].reduce((sum, byteLength) => sum + byteLength, 0);
      // Widened vectors and alignment cost little.
      expect(total - stored).toBeLessThan(8e6);
      expect(total).toBeGreaterThan(stored);
    }
    expect(layOutWeights(nine, tensors, LEAST).text.head.parts.map(({ rowCount }) => rowCount)).toEqual([
      65536, 65536, 20480,
    ]);
  });
});

describe('layOutWeights, given tensors that do not fit the config', () => {
  const config = createSmallConfig();
  const q = 'model.language_model.layers.0.self_attn.q_proj';
  const norm = 'model.language_model.norm.weight';

  function faultOf(change: (tensors: Map<string, StoredTensor>) => void, limits = LEAST) {
    const tensors = new Map<string, StoredTensor>(storedTensors(config, 'q4f16_1'));
    change(tensors);
    try {
      layOutWeights(config, tensors, limits);
    } catch (error) {
      if (isAutoglmError(error)) return error;
      throw error;
    }
    throw new Error('the tensors were accepted');
  }
  const edit = (name: string, changes: Partial<StoredTensor>) => (tensors: Map<string, StoredTensor>) =>
    void tensors.set(name, { ...(tensors.get(name) as StoredTensor), ...changes });

  it.each([
    ['a missing scale', `${q}.q_scale`],
    ['a missing bias', `${q}.bias`],
    ['a missing norm', norm],
    ['a missing table', 'model.visual.embeddings.position_embedding.weight'],
  ])('reports %s by its name', (_, name) => {
    const fault = faultOf((tensors) => void tensors.delete(name));
    expect(fault).toMatchObject({ code: 'tensor-missing', value: name });
    expect(fault.cure).toBeTruthy();
  });

  it('reports a missing matrix by the name that a plain checkpoint gives it', () => {
    const fault = faultOf((tensors) => {
      tensors.delete(`${q}.q_weight`);
      tensors.delete(`${q}.q_scale`);
    });
    expect(fault).toMatchObject({ code: 'tensor-missing', value: `${q}.weight` });
  });

  it.each([['model.language_model.layers.2.input_layernorm.weight'], ['extra']])(
    'reports the unknown tensor %s',
    (name) => {
      const fault = faultOf((tensors) => void tensors.set(name, { name, shape: [64], dtype: 'float16' }));
      expect(fault).toMatchObject({ code: 'tensor-unknown', value: name });
      expect(fault.cure).toBeTruthy();
    },
  );

  it.each([
    ['a norm', norm, [65], [64]],
    ['packed weights with another number of rows', `${q}.q_weight`, [95, 8], [96, 8]],
    ['packed weights of another width', `${q}.q_weight`, [96, 7], [96, 16]],
    ['scales of another width', `${q}.q_scale`, [96, 3], [96, 2]],
    ['a convolution', 'model.visual.downsample.weight', [64, 32, 2, 1], [64, 128]],
    [
      'a convolution with its rows and columns swapped',
      'model.visual.downsample.weight',
      [128, 64],
      [64, 128],
    ],
  ])('reports the shape of %s', (_, name, shape, expected) => {
    const fault = faultOf(edit(name, { shape }));
    expect(fault).toMatchObject({ code: 'tensor-shape', value: shape, limit: expected });
    expect(fault.message).toContain(name);
  });

  it.each([
    ['a norm in integers', norm, 'uint32'],
    ['packed weights in floats', `${q}.q_weight`, 'float32'],
    ['scales in f32', `${q}.q_scale`, 'float32'],
    ['a plain matrix in integers', 'model.visual.blocks.0.attn.proj.weight', 'uint32'],
  ] as const)('reports the dtype of %s', (_, name, dtype) => {
    const fault = faultOf(edit(name, { dtype }));
    expect(fault).toMatchObject({ code: 'tensor-dtype', value: dtype });
    expect(fault.message).toContain(name);
  });

  it('reports rows that no binding could hold', () => {
    const fault = faultOf(() => {}, { ...LEAST, maxBindingBytes: 120 });
    expect(fault).toMatchObject({ code: 'limit-exceeded', value: 128, limit: 120 });
  });
});
