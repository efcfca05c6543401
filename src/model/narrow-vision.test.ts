import { describe, expect, it } from 'vitest';
import { narrowToFloat16, widenFloat16 } from '../base/float16.ts';
import { randomGenerator } from '../kernels/parity.test-support.ts';
import { parseModelConfig } from './config.ts';
import { narrowStream, narrowVision } from './narrow-vision.ts';
import { storedArrays, weightFormat, type Quantization, type VisionQuantization } from './quantization.ts';
import { quantizeGroups } from './quantize-groups.ts';
import { createSyntheticConfig } from './synthetic.ts';
import { expectedTensors } from './tensor-names.ts';
import type { StoredTensor } from './weight-layout.ts';

const CONFIG = parseModelConfig(createSyntheticConfig(1, 2));

function storedAs(quantization: Quantization, vision: VisionQuantization): Map<string, StoredTensor> {
  return new Map(
    expectedTensors(CONFIG)
      .flatMap((tensor) => storedArrays(tensor, weightFormat(tensor, quantization, vision)))
      .map((array) => [array.name, array]),
  );
}

describe('narrowVision', () => {
  it('puts the linears of the tower into 4 bits and leaves everything else', () => {
    const stored = storedAs('q4f16_1', 'default');
    const { tensors } = narrowVision(CONFIG, stored);
    const expected = storedAs('q4f16_1', 'q4');
    expect(new Set(tensors.keys())).toEqual(new Set(expected.keys()));
    for (const [name, { shape, dtype }] of expected)
      expect(tensors.get(name)).toMatchObject({ shape, dtype });
  });

  it.each(['q4', 'q8'] as const)('leaves a tower at %s as it is', (vision) => {
    const stored = storedAs('q4f16_1', vision);
    const { tensors, narrowed } = narrowVision(CONFIG, stored);
    expect(narrowed.size).toBe(0);
    expect(tensors).toEqual(stored);
  });
});

describe('narrowStream', () => {
  const rows = 6;
  const width = 96;
  const name = 'tower.weight';
  const words: StoredTensor = { name: 'tower.q_weight', shape: [rows, width / 8], dtype: 'uint32' };
  const scales: StoredTensor = { name: 'tower.q_scale', shape: [rows, width / 32], dtype: 'float16' };
  const next = randomGenerator(7);
  const values = Float32Array.from({ length: rows * width }, () => next() - 0.5);
  const halves = new Uint16Array(values.length);
  narrowToFloat16(values, halves);

  async function stream(dtype: 'float16' | 'float32', pieces: (readonly [number, number])[]) {
    const stored: StoredTensor = { name, shape: [rows, width], dtype };
    const bytes = new Uint8Array(dtype === 'float16' ? halves.buffer : values.buffer);
    const written = new Map([
      [words.name, new Uint8Array((rows * width) / 2)],
      [scales.name, new Uint8Array((rows * width) / 16)],
      ['other', new Uint8Array(8)],
    ]);
    const narrowed = new Map([[name, { stored, words, scales }]]);
    const run = narrowStream(
      async (write) => {
        await write('other', 4, Uint8Array.of(1, 2, 3, 4));
        // The same memory each time, as a stream's buffer is.
        const memory = new Uint8Array(bytes.byteLength);
        for (const [from, to] of pieces) {
          memory.set(bytes.subarray(from, to));
          await write(name, from, memory.subarray(0, to - from));
          memory.fill(0xff);
        }
      },
      { narrowed },
    );
    await run((target, offset, piece) => written.get(target)!.set(piece, offset));
    return written;
  }

  function expected(source: Float32Array): { words: Uint8Array; scales: Uint8Array } {
    const packed = new Uint32Array(source.length / 8);
    const packedScales = new Uint16Array(source.length / 32);
    quantizeGroups(source, packed, packedScales, 'q4', 'absmax');
    return { words: new Uint8Array(packed.buffer), scales: new Uint8Array(packedScales.buffer) };
  }

  it.each([
    ['in one piece', [[0, 1152]]],
    [
      'in pieces that end inside of groups',
      [
        [0, 4],
        [4, 100],
        [100, 104],
        [104, 700],
        [700, 1152],
      ],
    ],
    [
      'anew from its start',
      [
        [0, 400],
        [0, 600],
        [600, 1152],
      ],
    ],
  ] as [string, [number, number][]][])('packs an f16 tensor that comes %s', async (_, pieces) => {
    const written = await stream('float16', pieces);
    const rounded = new Float32Array(values.length);
    widenFloat16(halves, rounded);
    expect(written.get(words.name)).toEqual(expected(rounded).words);
    expect(written.get(scales.name)).toEqual(expected(rounded).scales);
    expect([...written.get('other')!]).toEqual([0, 0, 0, 0, 1, 2, 3, 4]);
  });

  it('packs an f32 tensor', async () => {
    const written = await stream('float32', [
      [0, 1000],
      [1000, 2304],
    ]);
    expect(written.get(words.name)).toEqual(expected(values).words);
    expect(written.get(scales.name)).toEqual(expected(values).scales);
  });
});
