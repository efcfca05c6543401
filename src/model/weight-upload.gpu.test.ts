/** Weights that come in pieces, as a stream cuts them, against the buffers that they fill. */
import { afterEach, describe, expect, it } from 'vitest';
import { widenFloat16 } from '../base/float16.ts';
import { product } from '../base/maths.ts';
import type { Uploads } from '../gpu/device.ts';
import { openUploads } from '../gpu/uploads.ts';
import { randomGenerator, useDevice } from '../kernels/parity.test-support.ts';
import { BufferTable } from './buffer-table.ts';
import type { ModelConfig } from './config.ts';
import { readGoldenConfig } from './golden-model.test-support.ts';
import { storedArrays, weightFormat } from './quantization.ts';
import { expectedTensors } from './tensor-names.ts';
import { layOutWeights, type StoredTensor, type WeightLayout } from './weight-layout.ts';
import { WeightUpload } from './weight-upload.ts';

const DTYPE_BYTES = { uint32: 4, float16: 2, float32: 4 } as const;

/** Cut so tightly that matrices are split by rows, also inside of joined ones. */
const LIMITS = { maxBufferBytes: 49152, maxBindingBytes: 24576, bindingAlignment: 256 };

describe('WeightUpload', () => {
  const device = useDevice();
  let buffers: BufferTable | undefined;
  let uploads: Uploads | undefined;
  afterEach(() => {
    uploads?.destroy();
    buffers?.destroy();
  });

  /** Random finite f16 pairs: valid contents for every dtype. */
  function createContents(tensor: StoredTensor, seed: number): Uint8Array<ArrayBuffer> {
    const next = randomGenerator(seed);
    const byteLength = product(tensor.shape) * DTYPE_BYTES[tensor.dtype];
    return new Uint8Array(
      Uint16Array.from({ length: byteLength / 2 }, () => Math.floor(next() * 0x7c00)).buffer,
    );
  }

  async function prepare(config: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>) {
    const layout = layOutWeights(config, tensors, LIMITS);
    const table = new BufferTable(device());
    buffers = table;
    for (const [name, byteLength] of layout.buffers)
      await table.ensure(name, { byteLength, usage: 'storage' });
    uploads = openUploads(device());
    return { layout, table, uploads, upload: new WeightUpload(uploads, table, layout) };
  }

  async function expectUploaded(
    layout: WeightLayout,
    table: BufferTable,
    contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    const read = new Map<string, ArrayBuffer>();
    for (const [name, byteLength] of layout.buffers) {
      read.set(name, await device().read(table.get(name), 0, byteLength));
    }
    for (const [name, placements] of layout.placements) {
      const bytes = contents.get(name) as Uint8Array<ArrayBuffer>;
      for (const { tensorOffset, byteLength, buffer, bufferOffset, isWidened } of placements) {
        const source = bytes.slice(tensorOffset, tensorOffset + byteLength);
        const expected = isWidened ? widen(source) : source;
        const actual = new Uint8Array(read.get(buffer) as ArrayBuffer, bufferOffset, expected.byteLength);
        expect(Buffer.from(actual).equals(expected), name).toBe(true);
      }
    }
  }

  for (const quantization of ['q4f16_1', 'q0f32'] as const) {
    it(`puts ${quantization} weights in place from pieces that end anywhere`, async () => {
      const config = await readGoldenConfig('glm4v-a');
      const arrays = expectedTensors(config).flatMap((tensor) =>
        storedArrays(tensor, weightFormat(tensor, quantization)),
      );
      const tensors = new Map(arrays.map((array) => [array.name, array]));
      const { layout, table, upload } = await prepare(config, tensors);
      expect(layout.text.layers[0].qkv.parts.length).toBeGreaterThan(quantization === 'q0f32' ? 1 : 0);
      const contents = new Map(arrays.map((array, index) => [array.name, createContents(array, index)]));
      const next = randomGenerator(5);
      for (const [name, bytes] of [...contents].toReversed()) {
        let from = 0;
        while (from < bytes.byteLength) {
          // Whole words, as the stream promises, at addresses that need not be even.
          const to = Math.min(bytes.byteLength, from + 4 * (1 + Math.floor(next() * 900)));
          const shifted = new Uint8Array(to - from + 1);
          shifted.set(bytes.subarray(from, to), 1);
          await upload.write(name, from, shifted.subarray(1));
          from = to;
        }
      }
      await uploads!.finish();
      await expectUploaded(layout, table, contents);
      const total = [...layout.placements.values()]
        .flat()
        .reduce((sum, { byteLength, isWidened }) => sum + byteLength * (isWidened ? 2 : 1), 0);
      expect(upload.writtenBytes).toBe(total);
    });
  }

  it('refuses a tensor that the layout does not know', async () => {
    const config = await readGoldenConfig('glm4v-a');
    const arrays = expectedTensors(config).flatMap((tensor) => storedArrays(tensor, 'f16'));
    const { upload } = await prepare(config, new Map(arrays.map((array) => [array.name, array])));
    await expect(upload.write('nothing', 0, new Uint8Array(4))).rejects.toThrow('"nothing"');
  });
});

function widen(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  const bits = new Uint16Array(bytes.buffer);
  const values = new Float32Array(bits.length);
  widenFloat16(bits, values);
  return new Uint8Array(values.buffer);
}
