import { describe, expect, it } from 'vitest';
import { splitKeys } from './attention-decode.ts';
import { packCache, unpackCache, UNTOUCHED_CACHE } from './cache-packing.test-support.ts';
import { COUNTING_WORD, decodeLayer, DECODE_LAYER_STORAGE_BUFFERS, layerMail } from './decode-layer.ts';
import { decodeLayerReference } from './decode-layer.reference.ts';
import { roundToInt8Digits } from './int8-activations.reference.ts';
import { expectInt8Close, INT8_TARGET, int8Target } from './int8-parity.test-support.ts';
import type { BufferRef, KernelCall, WeightMatrix } from './kernel.ts';
import { ropeQkvInt8Reference } from './matvec-int8.reference.ts';
import {
  expectClose,
  randomFloats,
  ref,
  rowWords,
  runKernel,
  useDevice,
  type Data,
} from './parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

/** One buffer for many arrays, each at a place that a binding could start at. */
class Arena {
  readonly #name: string;
  readonly #words: number[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(data: Data): BufferRef {
    const words = new Uint32Array(data.buffer);
    const byteOffset = this.#words.length * 4;
    this.#words.push(...words, ...new Uint32Array((64 - (words.length % 64)) % 64));
    return { buffer: this.#name, byteOffset, byteLength: data.byteLength };
  }

  /** Random 4-bit weights, as a matrix of this buffer and as the numbers that they stand for. */
  addMatrix(N: number, K: number, seed: number): { matrix: WeightMatrix; values: Float32Array } {
    const { matrix, arrays, values } = packMatrix('m', { N, K, format: 'q4', seed });
    const [part] = matrix.parts;
    const placed = {
      ...part,
      weight: this.add(arrays['m.0']),
      scale: this.add(arrays['m.scale.0']),
    };
    return { matrix: { ...matrix, parts: [placed] }, values };
  }

  get data(): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(this.#words);
  }
}

/** Sizes of the products' sums: twins add in another order. */
const TOLERANCE = 2e-4;

const SIZES = {
  C: 96,
  H: 4,
  KV: 2,
  D: 32,
  F: 160,
  epsilon: 1e-5,
  rotaryDimensions: 16,
  mropeSections: [2, 3, 3],
  context: 256,
  cacheFormat: 'f16',
} as const;
const TOKEN = { position: [7, 9, 4], slot: 1 } as const;

/** How a layer attends: in its dispatch, or in one before it with so many splits. */
interface Attention {
  readonly keyCount: number;
  readonly splitsBefore?: number;
}

/** A layer's buffers with random contents, the calls on them, and what the twin makes of them. */
function createCase(
  leastSubgroup: number,
  end: 'qkv' | 'head',
  { keyCount, splitsBefore }: Attention = { keyCount: 70 },
) {
  const { C, H, KV, D, F, rotaryDimensions } = SIZES;
  const context = Math.max(SIZES.context, keyCount + 3);
  // Software promises to run one workgroup; waiting for others shows on a GPU alone.
  const tiling = { workgroups: 1, workgroup: Math.max(64, 8 * leastSubgroup), splits: 4 };
  const sizes = { ...SIZES, context, tiling, leastSubgroup };
  const token = { ...TOKEN, cacheIndex: keyCount - 1 };
  const layer = new Arena('layer');
  const next = new Arena('next');
  const vector = (arena: Arena, length: number, seed: number) => {
    const values = randomFloats(length, seed);
    return { values, ref: arena.add(values) };
  };
  const o = layer.addMatrix(C, H * D, 1);
  const postAttentionNorm = vector(layer, C, 2);
  const preMlpNorm = vector(layer, C, 3);
  const gateUp = layer.addMatrix(2 * F, C, 4);
  const down = layer.addMatrix(C, F, 5);
  const postMlpNorm = vector(layer, C, 6);
  const norm = vector(next, C, 7);
  const qkv = next.addMatrix((H + 2 * KV) * D, C, 8);
  const bias = vector(next, (H + 2 * KV) * D, 9);
  const q = randomFloats(H * D, 10);
  const keys = packCache(randomFloats(2 * KV * context * D, 11), 'f16');
  const values = packCache(randomFloats(2 * KV * context * D, 14), 'f16');
  const hidden = randomFloats(C, 12);
  const rope = randomFloats(20 * rotaryDimensions, 13);
  const cache = packCache(new Float32Array(2 * KV * context * D).fill(UNTOUCHED_CACHE), 'f16');
  const attended = splitsBefore
    ? { splits: splitsBefore, partialOutput: ref('partialOutput'), partialStats: ref('partialStats') }
    : undefined;
  const words = layerMail(sizes, attended ? 0 : sizes.tiling.splits);
  const mail = new Uint32Array(words.words);
  const arrays = {
    layer: layer.data,
    next: next.data,
    stream: Float32Array.of(...q, ...hidden),
    keys,
    values,
    rope,
    rows: rowWords([token]),
    // Splits without keys leave them as they were, and nothing may read that.
    partialOutput: new Float32Array(H * (splitsBefore ?? 1) * D).fill(NaN),
    partialStats: new Float32Array(H * (splitsBefore ?? 1) * 2).fill(NaN),
    mail,
    oldMail: new Uint32Array(mail.length).fill(7),
    nextStream: new Float32Array(H * D + C),
    nextKeys: cache,
    nextValues: cache,
    ...int8Target(C),
  };
  const call = decodeLayer({
    label: 'test',
    ...sizes,
    attended,
    weights: {
      o: o.matrix,
      postAttentionNorm: postAttentionNorm.ref,
      preMlpNorm: preMlpNorm.ref,
      gateUp: gateUp.matrix,
      down: down.matrix,
      postMlpNorm: postMlpNorm.ref,
    },
    rows: ref('rows'),
    stream: ref('stream'),
    keys: ref('keys'),
    values: ref('values'),
    mail: ref('mail'),
    oldMail: ref('oldMail'),
    end:
      end === 'head'
        ? { norm: norm.ref, head: INT8_TARGET }
        : {
            norm: norm.ref,
            qkv: qkv.matrix,
            qkvBias: bias.ref,
            rope: ref('rope'),
            stream: ref('nextStream'),
            keys: ref('nextKeys'),
            values: ref('nextValues'),
          },
  });
  const expected = decodeLayerReference(
    {
      q,
      keys: unpackCache(keys.buffer, 'f16'),
      values: unpackCache(values.buffer, 'f16'),
      hidden,
      o: o.values,
      postAttentionNorm: postAttentionNorm.values,
      preMlpNorm: preMlpNorm.values,
      gateUp: gateUp.values,
      down: down.values,
      postMlpNorm: postMlpNorm.values,
      norm: norm.values,
    },
    sizes,
    token,
  );
  const before = attended
    ? [
        splitKeys({
          label: 'splits',
          ...sizes,
          ...attended,
          columns: 1,
          tiling: { workgroup: 64, keyLanes: 4, keys: 4, headGroups: 2 },
          q: ref('stream'),
          keys: ref('keys'),
          values: ref('values'),
          rows: ref('rows'),
        }),
      ]
    : [];
  const calls = [...before, call];
  return { call, calls, arrays, sizes, token, words, expected, rope, qkv: qkv.values, bias: bias.values };
}

describe('DecodeLayer', () => {
  const device = useDevice({ storageBuffers: DECODE_LAYER_STORAGE_BUFFERS });
  const leastSubgroup = (): number => device().capabilities.subgroupSizes.min;

  it.each([
    ['attention in it', { keyCount: 70 }],
    // More splits than the eights of invocations take in one go.
    ['40 splits before it', { keyCount: 1250, splitsBefore: 40 }],
  ])("matches the reference up to the next layer's query, key and value: %s", async (_name, attention) => {
    const { calls, arrays, sizes, token, words, expected, rope, qkv, bias } = createCase(
      leastSubgroup(),
      'qkv',
      attention,
    );
    const outputs = ['nextStream', 'nextKeys', 'nextValues', 'mail', 'oldMail'];
    const results = await runKernel(device(), calls, arrays, { outputs });
    const { H, KV, D, context } = sizes;
    const stream = new Float32Array(results.nextStream);
    expectClose(stream.subarray(H * D), expected.hidden, TOLERANCE);
    const cache = {
      keys: new Float32Array(2 * KV * context * D).fill(UNTOUCHED_CACHE),
      values: new Float32Array(2 * KV * context * D).fill(UNTOUCHED_CACHE),
    };
    const q = ropeQkvInt8Reference({ x: expected.y, weight: qkv, bias, rope }, [token], cache, sizes);
    expectClose(stream.subarray(0, H * D), q, TOLERANCE);
    // The cache rounds to f16; untouched places are large on purpose, so written rows are looked at alone.
    for (const [name, written] of [
      ['keys', results.nextKeys],
      ['values', results.nextValues],
    ] as const) {
      const stored = unpackCache(written, 'f16');
      const isWritten = (_: number, index: number): boolean => cache[name][index] !== UNTOUCHED_CACHE;
      expectClose(stored.filter(isWritten), cache[name].filter(isWritten), 1e-3);
      expect(
        stored.filter((_, index) => !isWritten(0, index)).every((value) => value === UNTOUCHED_CACHE),
      ).toBe(true);
    }
    expect(new Uint32Array(results.mail)[words.status]).toBe(0);
    const left = new Uint32Array(results.oldMail).subarray(0, words.status + 1);
    expect(left.every((word) => word === 0)).toBe(true);
  });

  it.each([
    ['attention in it', { keyCount: 70 }],
    ['3 of 4 splits before it', { keyCount: 70, splitsBefore: 4 }],
  ])("matches the reference up to the head's input: %s", async (_, attention) => {
    const { calls, arrays, words, expected } = createCase(leastSubgroup(), 'head', attention);
    const results = await runKernel(device(), calls, arrays, { outputs: ['codes', 'totals', 'mail'] });
    expectInt8Close(results, {
      exact: Float32Array.from(expected.y),
      rounded: roundToInt8Digits(expected.y),
      inputError: TOLERANCE,
    });
    expect(new Uint32Array(results.mail)[words.status]).toBe(0);
  });

  it('says so when a workgroup waits in vain, and ends', async () => {
    const { call, arrays, words } = createCase(leastSubgroup(), 'head');
    // Compiled for two workgroups, of which one never comes.
    const alone: KernelCall = { ...twoWorkgroups(call), grid: [1, 1, 1] };
    const results = await runKernel(device(), alone, arrays, { outputs: ['mail'] });
    expect(new Uint32Array(results.mail)[words.status]).toBe(1);
  });

  it('counts its workgroups and does nothing else when asked to', async () => {
    const { call, arrays, words } = createCase(leastSubgroup(), 'head');
    const rows = arrays.rows.slice();
    rows[COUNTING_WORD] = 1;
    const results = await runKernel(
      device(),
      { ...call, grid: [3, 1, 1] },
      { ...arrays, rows },
      { outputs: ['mail', 'codes', 'oldMail'] },
    );
    const residents = new Uint32Array(results.mail)[words.residents];
    expect(residents).toBeGreaterThanOrEqual(1);
    expect(residents).toBeLessThanOrEqual(3);
    expect(new Uint32Array(results.codes)).toEqual(arrays.codes);
    expect(new Uint32Array(results.oldMail)).toEqual(arrays.oldMail);
  });
});

/** The call with constants for two workgroups, each of which takes half of the rows. */
function twoWorkgroups(call: KernelCall): KernelCall {
  const { C, F } = SIZES;
  const shape = { ...call.program.shape, WORKGROUPS: 2, C_BLOCK: C / 2, F_BLOCK: F / 2 };
  return { ...call, program: { ...call.program, shape } };
}
