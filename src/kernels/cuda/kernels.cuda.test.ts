/** The CUDA-only kernels against the CPU twins of what they compute. */
import { describe, expect, it } from 'vitest';
import { narrowToFloat16, widenFloat16 } from '../../base/float16.ts';
import { addNormReference } from '../add-norm.reference.ts';
import { attentionDecodeReference } from '../attention-decode.reference.ts';
import { attentionTileReference } from '../attention-tile.reference.ts';
import type { WeightFormat } from '../kernel.ts';
import { layerNormGeluReference } from '../layer-norm-gelu.reference.ts';
import { matmulReference } from '../matmul.reference.ts';
import {
  expectClose,
  randomFloats,
  randomGenerator,
  ref,
  rowWords,
  runKernel,
  stepWords,
  useDevice,
} from '../parity.test-support.ts';
import { rmsNormReference } from '../rms-norm.reference.ts';
import { ropeAppendReference } from '../rope-append.reference.ts';
import { ropeVisionReference } from '../rope-vision.reference.ts';
import { sandwichNormReference } from '../sandwich-norm.reference.ts';
import { swigluReference } from '../swiglu.reference.ts';
import { packMatrix } from '../weight-packing.test-support.ts';
import { CUDA_SPLITS, cudaAttentionDecode, flashText, flashVision } from './attention.ts';
import { gemm } from './gemm.ts';
import { cudaMatvec, cudaMatvecRope, cudaMatvecSwiglu, packQ4, toFloat16 } from './matvec.ts';
import { cudaAddNorm, cudaLayerNormGelu, cudaRmsNorm, cudaSandwichNorm } from './norms.ts';
import { attentionPatchesPlain, attentionRowsPlain, matmulPlain, swigluPlain } from './plain.ts';
import { cudaRopeAppend, cudaRopeVision, queryScale } from './rope.ts';

/** Rounding of a value to f16, as a share of the largest. */
const HALF = 6e-4;
/** Sums of rounded products, as a share of the largest. */
const HALF_SUM = 2e-3;

interface Halves {
  /** Pairs of f16, as a kernel reads them. */
  readonly words: Uint32Array<ArrayBuffer>;
  /** What they stand for. */
  readonly values: Float32Array<ArrayBuffer>;
}

function toHalves(values: Float32Array): Halves {
  const bits = new Uint16Array(values.length + (values.length % 2));
  narrowToFloat16(values, bits);
  return { words: new Uint32Array(bits.buffer), values: fromHalves(bits.buffer).subarray(0, values.length) };
}

function fromHalves(bytes: ArrayBuffer): Float32Array<ArrayBuffer> {
  const bits = new Uint16Array(bytes);
  const values = new Float32Array(bits.length);
  widenFloat16(bits, values);
  return values;
}

/** Room for so many f16, filled with what no kernel writes. */
function halvesBuffer(count: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array(Math.ceil(count / 2)).fill(0x7e007e00);
}

const random = (length: number, seed: number): Halves => toHalves(randomFloats(length, seed));

describe('products in f32', () => {
  const device = useDevice();
  const cases: readonly { rows: number; N: number; K: number; format: WeightFormat; bias: boolean }[] = [
    { rows: 1, N: 5, K: 8, format: 'f32', bias: false },
    { rows: 70, N: 67, K: 72, format: 'f32', bias: true },
    { rows: 65, N: 64, K: 40, format: 'f16', bias: true },
    { rows: 130, N: 129, K: 96, format: 'q4', bias: true },
    { rows: 33, N: 100, K: 64, format: 'q8', bias: false },
  ];
  for (const isDecode of [false, true]) {
    it.each(cases)(`match the twin for $rows x $K by $N at $format, decode ${isDecode}`, async (one) => {
      const { rows, N, K, format } = one;
      const weight = packMatrix('weight', { N, K, format, seed: 1 });
      const x = randomFloats(rows * K, 2);
      const bias = one.bias ? randomFloats(N, 3) : undefined;
      const calls = matmulPlain({
        label: 'test',
        rows: isDecode ? rows : 'tokens',
        weight: weight.matrix,
        step: ref('step'),
        x: ref('x'),
        y: ref('y'),
        ...(bias && { bias: ref('bias') }),
      });
      const y = new Float32Array(rows * N);
      const arrays = { ...weight.arrays, step: stepWords({ rowCount: rows }), x, y, ...(bias && { bias }) };
      const results = await runKernel(device(), calls, arrays, { rows, outputs: ['y'] });
      expectClose(
        new Float32Array(results.y),
        matmulReference(x, weight.values, { N, K, ...(bias && { bias }) }),
        2e-6,
      );
    });
  }
});

describe('products on tensor cores', () => {
  const device = useDevice();
  const cases = [
    { rows: 1, N: 8, K: 32 },
    { rows: 130, N: 258, K: 96 },
    { rows: 200, N: 128, K: 704 },
    { rows: 300, N: 640, K: 4096 },
  ]
    .flatMap((size) => (['f16', 'q4'] as const).map((format) => ({ ...size, format })))
    .flatMap((one) => [false, true].map((isWide) => ({ ...one, isWide })));

  it.each(cases)('match the twin for $rows x $K by $N at $format, wide $isWide', async (one) => {
    const { rows, N, K, format, isWide } = one;
    // No other GPU has the instructions.
    if (isWide && device().capabilities.cuda?.computeCapability !== 9) return;
    const weight = packMatrix('weight', { N, K, format, seed: 1 });
    const x = random(rows * K, 2);
    const bias = randomFloats(N, 3);
    const common = {
      label: 'test',
      rows: 'tokens',
      weight: weight.matrix,
      step: ref('step'),
      x: ref('x'),
      unpacked: ref('unpacked'),
      isWide,
    } as const;
    const arrays = {
      ...weight.arrays,
      step: stepWords({ rowCount: rows }),
      x: x.words,
      bias,
      unpacked: halvesBuffer(N * K),
      plain: new Float32Array(rows * N),
      biased: halvesBuffer(rows * N),
      gated: halvesBuffer((rows * N) / 2),
    };
    const isPacked = format === 'q4' && N % 8 === 0;
    const layout = isPacked ? 'packed' : 'rows';
    const calls = [
      ...(isPacked ? packQ4('pack', weight.matrix) : []),
      ...gemm({ ...common, layout, store: 'f32', y: ref('plain') }),
      ...gemm({ ...common, layout, store: 'f16-bias', bias: ref('bias'), y: ref('biased') }),
      ...gemm({ ...common, layout, store: 'swiglu', y: ref('gated') }),
    ];
    const results = await runKernel(device(), calls, arrays, { rows, outputs: ['plain', 'biased', 'gated'] });
    const plain = matmulReference(x.values, weight.values, { N, K });
    // f16 weights are exact; 4-bit ones are rounded to f16 once.
    expectClose(new Float32Array(results.plain), plain, format === 'f16' ? 1e-5 : HALF);
    const biased = matmulReference(x.values, weight.values, { N, K, bias });
    expectClose(fromHalves(results.biased).subarray(0, rows * N), biased, HALF_SUM);
    const gated = swigluReference(plain, N / 2);
    expectClose(fromHalves(results.gated).subarray(0, (rows * N) / 2), gated, HALF_SUM);
  });

  for (const columns of [1, 3, 8]) {
    it.each([
      { N: 1000, K: 256 },
      { N: 352 * 2, K: 704 },
      { N: 64, K: 13696 },
      { N: 4608, K: 4096 },
    ])(`match the twin for ${columns} columns, $N x $K`, async ({ N, K }) => {
      const weight = packMatrix('weight', { N, K, format: 'q4', seed: 4 });
      const x = random(columns * K, 5);
      const common = { label: 'test', columns, weight: weight.matrix, x: ref('x'), multiprocessors: 3 };
      const arrays = {
        ...weight.arrays,
        x: x.words,
        plain: new Float32Array(columns * N),
        gated: halvesBuffer((columns * N) / 2),
      };
      // Gates and ups are packed by eight rows each.
      const hasGates = N % 16 === 0;
      const calls = [
        ...packQ4('pack', weight.matrix),
        ...cudaMatvec({ ...common, y: ref('plain') }),
        ...(hasGates ? [cudaMatvecSwiglu({ ...common, y: ref('gated') })] : []),
      ];
      const results = await runKernel(device(), calls, arrays, { outputs: ['plain', 'gated'] });
      const plain = matmulReference(x.values, weight.values, { N, K });
      expectClose(new Float32Array(results.plain), plain, HALF);
      if (!hasGates) return;
      const gated = swigluReference(plain, N / 2);
      expectClose(fromHalves(results.gated).subarray(0, (columns * N) / 2), gated, HALF_SUM);
    });
  }

  it('narrows to f16', async () => {
    const x = randomFloats(1001, 1);
    const call = toFloat16({ label: 'test', count: x.length, x: ref('x'), y: ref('y') });
    const results = await runKernel(device(), call, { x, y: halvesBuffer(1001) }, { outputs: ['y'] });
    expect(fromHalves(results.y).subarray(0, 1001)).toEqual(toHalves(x).values);
  });
});

const ROPE = {
  H: 32,
  KV: 2,
  D: 128,
  rotaryDimensions: 64,
  mropeSections: [8, 12, 12],
  context: 40,
} as const;

describe('rope', () => {
  const device = useDevice();
  const { H, KV, D, context, rotaryDimensions } = ROPE;
  const slots = 3;
  const places = [
    { position: [3, 5, 7], slot: 2, cacheIndex: 0 },
    { position: [31, 30, 29], slot: 0, cacheIndex: 39 },
    { position: [1, 1, 1], slot: 1, cacheIndex: 12 },
  ] as const;
  const turn = {
    ...ROPE,
    bias: ref('bias'),
    rope: ref('rope'),
    rows: ref('rows'),
    q: ref('q'),
    keys: ref('keys'),
    values: ref('values'),
  };
  const cacheLength = slots * KV * context * D;

  function expected(qkv: Float32Array, bias: Float32Array, rope: Float32Array) {
    const cache = { keys: new Float32Array(cacheLength), values: new Float32Array(cacheLength) };
    const q = ropeAppendReference({ qkv, bias, rope }, places, cache, ROPE);
    return { q, ...cache };
  }

  it.each(['f16', 'f32'] as const)('turns and appends with q in %s', async (out) => {
    const width = (H + 2 * KV) * D;
    const qkv = randomFloats(places.length * width, 1);
    const bias = randomFloats(width, 2);
    const rope = randomFloats(context * rotaryDimensions, 3);
    const call = cudaRopeAppend({ ...turn, label: 'test', cacheFormat: 'f16', qkv: ref('qkv'), out });
    const count = places.length * H * D;
    const arrays = {
      qkv,
      bias,
      rope,
      rows: rowWords(places),
      q: out === 'f16' ? halvesBuffer(count) : new Float32Array(count),
      keys: new Uint32Array(cacheLength / 2),
      values: new Uint32Array(cacheLength / 2),
    };
    const outputs = ['q', 'keys', 'values'];
    const results = await runKernel(device(), call, arrays, { rows: places.length, outputs });
    const want = expected(qkv, bias, rope);
    const q = out === 'f16' ? fromHalves(results.q) : new Float32Array(results.q);
    expectClose(
      q,
      want.q.map((value) => value * queryScale(D, out)),
      out === 'f16' ? HALF : 1e-6,
    );
    expectClose(fromHalves(results.keys), want.keys, HALF);
    expectClose(fromHalves(results.values), want.values, HALF);
  });

  it('multiplies, turns and appends in one', async () => {
    const K = 256;
    const N = (H + 2 * KV) * D;
    const weight = packMatrix('weight', { N, K, format: 'q4', seed: 4 });
    const x = random(places.length * K, 5);
    const bias = randomFloats(N, 2);
    const rope = randomFloats(context * rotaryDimensions, 3);
    const call = cudaMatvecRope({
      ...turn,
      label: 'test',
      columns: places.length,
      weight: weight.matrix,
      x: ref('x'),
      multiprocessors: 100,
    });
    const calls = [...packQ4('pack', weight.matrix), call];
    const arrays = {
      ...weight.arrays,
      x: x.words,
      bias,
      rope,
      rows: rowWords(places),
      q: halvesBuffer(places.length * H * D),
      keys: new Uint32Array(cacheLength / 2),
      values: new Uint32Array(cacheLength / 2),
    };
    const results = await runKernel(device(), calls, arrays, { outputs: ['q', 'keys', 'values'] });
    const want = expected(matmulReference(x.values, weight.values, { N, K }), bias, rope);
    expectClose(
      fromHalves(results.q),
      want.q.map((value) => value * queryScale(D, 'f16')),
      HALF_SUM,
    );
    expectClose(fromHalves(results.keys), want.keys, HALF_SUM);
    expectClose(fromHalves(results.values), want.values, HALF_SUM);
  });

  it.each([
    { D: 32, cacheFormat: 'f16', out: 'f16' },
    { D: 32, cacheFormat: 'f16', out: 'f32' },
    { D: 16, cacheFormat: 'f32', out: 'f32' },
  ] as const)(
    'turns patches of heads of $D, cache $cacheFormat, q $out',
    async ({ D: size, cacheFormat, out }) => {
      const heads = 3;
      const grid = { gridRows: 4, gridColumns: 6 };
      const P = 24;
      const qkv = randomFloats(P * 3 * heads * size, 1);
      const rope = randomFloats((8 * size) / 2, 2);
      const call = cudaRopeVision({
        label: 'test',
        H: heads,
        D: size,
        spatialMergeSize: 2,
        cacheFormat,
        out,
        step: ref('step'),
        qkv: ref('qkv'),
        rope: ref('rope'),
        q: ref('q'),
        keys: ref('keys'),
        values: ref('values'),
      });
      const count = P * heads * size;
      const buffer = (format: 'f16' | 'f32') =>
        format === 'f16' ? halvesBuffer(count) : new Float32Array(count);
      const arrays = {
        step: stepWords({ rowCount: P, ...grid }),
        qkv,
        rope,
        q: buffer(out),
        keys: buffer(cacheFormat),
        values: buffer(cacheFormat),
      };
      const results = await runKernel(device(), call, arrays, { rows: P, outputs: ['q', 'keys', 'values'] });
      const want = ropeVisionReference(qkv, rope, { H: heads, D: size, spatialMergeSize: 2, ...grid });
      const read = (bytes: ArrayBuffer, format: 'f16' | 'f32') =>
        format === 'f16' ? fromHalves(bytes) : new Float32Array(bytes);
      expectClose(
        read(results.q, out),
        want.q.map((value) => value * queryScale(size, out)),
        HALF,
      );
      expectClose(read(results.keys, cacheFormat), want.keys, HALF);
      expectClose(read(results.values, cacheFormat), want.values, HALF);
    },
  );
});

describe('attention', () => {
  const device = useDevice();
  /** Queries as the f16 kernels take them, and what they stand for before scaling. */
  function scaledQueries(length: number, D: number, seed: number): Halves {
    const scale = queryScale(D, 'f16');
    const { words, values } = toHalves(randomFloats(length, seed).map((value) => value * scale));
    return { words, values: values.map((value) => value / scale) };
  }

  it.each([
    { H: 8, KV: 2, D: 32, rows: 1, cacheStart: 0 },
    { H: 8, KV: 2, D: 32, rows: 150, cacheStart: 33 },
    { H: 16, KV: 1, D: 128, rows: 65, cacheStart: 200 },
    { H: 4, KV: 2, D: 128, rows: 129, cacheStart: 0 },
  ])('of a chunk: $rows rows from $cacheStart, heads of $D', async ({ H, KV, D, rows, cacheStart }) => {
    const context = 300;
    const slot = 1;
    const q = scaledQueries(rows * H * D, D, 1);
    const [keys, values] = [random(2 * KV * context * D, 2), random(2 * KV * context * D, 3)];
    const refs = {
      step: ref('step'),
      q: ref('q'),
      keys: ref('keys'),
      values: ref('values'),
      output: ref('output'),
    };
    const call = flashText({ label: 'test', H, KV, D, context, ...refs });
    const arrays = {
      step: stepWords({ rowCount: rows, slot, cacheStart }),
      q: q.words,
      keys: keys.words,
      values: values.words,
      output: halvesBuffer(rows * H * D),
    };
    const results = await runKernel(device(), call, arrays, { rows, outputs: ['output'] });
    const sizes = { H, KV, D, context, isCausal: true, slot, cacheStart };
    expectClose(
      fromHalves(results.output),
      attentionTileReference(q.values, keys.values, values.values, sizes),
      HALF_SUM,
    );
    const plain = attentionRowsPlain({
      label: 'test',
      H,
      KV,
      D,
      context,
      cacheFormat: 'f16',
      rows: ref('rows'),
      q: ref('q'),
      keys: ref('keys'),
      values: ref('values'),
      output: ref('output'),
    });
    const rowsOf = Array.from({ length: rows }, (_, row) => ({ slot, cacheIndex: cacheStart + row }));
    const exact = await runKernel(
      device(),
      plain,
      { ...arrays, rows: rowWords(rowsOf), q: q.values, output: new Float32Array(rows * H * D) },
      { rows, outputs: ['output'] },
    );
    expectClose(
      new Float32Array(exact.output),
      attentionTileReference(q.values, keys.values, values.values, sizes),
      1e-5,
    );
  });

  it.each([
    { H: 3, D: 32, rows: 100 },
    { H: 2, D: 128, rows: 197 },
  ])('of an image: $rows patches, heads of $D', async ({ H, D, rows }) => {
    const q = scaledQueries(rows * H * D, D, 1);
    const [keys, values] = [random(H * rows * D, 2), random(H * rows * D, 3)];
    const refs = {
      step: ref('step'),
      q: ref('q'),
      keys: ref('keys'),
      values: ref('values'),
      output: ref('output'),
    };
    const arrays = {
      step: stepWords({ rowCount: rows }),
      q: q.words,
      keys: keys.words,
      values: values.words,
      output: halvesBuffer(rows * H * D),
    };
    const call = flashVision({ label: 'test', H, D, ...refs });
    const results = await runKernel(device(), call, arrays, { rows, outputs: ['output'] });
    const sizes = { H, KV: H, D, context: rows, isCausal: false, slot: 0, cacheStart: 0 };
    const want = attentionTileReference(q.values, keys.values, values.values, sizes);
    expectClose(fromHalves(results.output), want, HALF_SUM);
    const plain = attentionPatchesPlain({ label: 'test', H, D, cacheFormat: 'f16', ...refs });
    const exact = await runKernel(
      device(),
      plain,
      { ...arrays, q: q.values, output: new Float32Array(rows * H * D) },
      { rows, outputs: ['output'] },
    );
    expectClose(new Float32Array(exact.output), want, 1e-5);
  });

  it.each([
    { H: 8, KV: 2, D: 32 },
    { H: 32, KV: 2, D: 128 },
  ])('of a decode step: heads of $D', async ({ H, KV, D }) => {
    const context = 5000;
    const sequences = [0, 15, 16, 63, 64, 511, 4095, 4999].map((cacheIndex, slot) => ({
      slot: slot % 2,
      cacheIndex,
    }));
    const columns = sequences.length;
    const q = scaledQueries(columns * H * D, D, 1);
    const [keys, values] = [random(2 * KV * context * D, 2), random(2 * KV * context * D, 3)];
    const calls = cudaAttentionDecode({
      label: 'test',
      columns,
      H,
      KV,
      D,
      context,
      rows: ref('rows'),
      q: ref('q'),
      keys: ref('keys'),
      values: ref('values'),
      partialOutput: ref('partialOutput'),
      partialStats: ref('partialStats'),
      output: ref('output'),
    });
    const arrays = {
      rows: rowWords(sequences),
      q: q.words,
      keys: keys.words,
      values: values.words,
      partialOutput: new Float32Array(columns * H * CUDA_SPLITS * D).fill(NaN),
      partialStats: new Float32Array(columns * H * CUDA_SPLITS * 2).fill(NaN),
      output: halvesBuffer(columns * H * D),
    };
    const results = await runKernel(device(), calls, arrays, { outputs: ['output'] });
    const want = attentionDecodeReference(
      q.values,
      keys.values,
      values.values,
      { H, KV, D, context },
      sequences,
    );
    expectClose(fromHalves(results.output), want, HALF_SUM);
  });
});

describe('norms and gates', () => {
  const device = useDevice();
  const epsilon = 1e-5;
  const rows = 8;
  const read = (bytes: ArrayBuffer, out: 'f16' | 'f32', count: number): Float32Array =>
    out === 'f16' ? fromHalves(bytes).subarray(0, count) : new Float32Array(bytes);

  for (const out of ['f16', 'f32'] as const) {
    for (const C of [64, 1536, 4096, 13696]) {
      it(`match the twins for rows of ${C} to ${out}`, async () => {
        const seed = randomGenerator(C)() * 1000;
        const [x, hidden] = [randomFloats(rows * C, seed), randomFloats(rows * C, seed + 1)];
        const [weight, other] = [randomFloats(C, seed + 2), randomFloats(C, seed + 3)];
        const y = out === 'f16' ? halvesBuffer(rows * C) : new Float32Array(rows * C);
        const arrays = { x, hidden, weight, other, y };
        const common = { label: 'test', rows: 'tokens', C, epsilon, x: ref('x'), out, y: ref('y') } as const;
        const tolerance = out === 'f16' ? HALF : 2e-6;
        const run = (call: Parameters<typeof runKernel>[1]) =>
          runKernel(device(), call, arrays, { rows, outputs: ['y', 'hidden'] });

        const plain = await run(cudaRmsNorm({ ...common, weight: ref('weight'), merge: 4 }));
        expectClose(
          read(plain.y, out, rows * C),
          rmsNormReference(x, weight, { C, epsilon, merge: 4 }),
          tolerance,
        );

        const added = await run(
          cudaAddNorm({ ...common, weight: ref('weight'), hidden: ref('hidden'), merge: 4 }),
        );
        const wantAdded = addNormReference({ x, hidden, weight }, { C, epsilon, merge: 4 });
        expectClose(read(added.y, out, rows * C), wantAdded.y, tolerance);
        expectClose(new Float32Array(added.hidden), wantAdded.hidden, 1e-6);

        const sandwich = await run(
          cudaSandwichNorm({
            ...common,
            postWeight: ref('weight'),
            preWeight: ref('other'),
            hidden: ref('hidden'),
          }),
        );
        const wantSandwich = sandwichNormReference(
          { x, hidden, postWeight: weight, preWeight: other },
          { C, epsilon },
        );
        expectClose(read(sandwich.y, out, rows * C), wantSandwich.y, tolerance);
        expectClose(new Float32Array(sandwich.hidden), wantSandwich.hidden, 2e-6);

        const gelu = await run(cudaLayerNormGelu({ ...common, weight: ref('weight'), bias: ref('other') }));
        expectClose(
          read(gelu.y, out, rows * C),
          layerNormGeluReference(x, weight, other, { C, epsilon }),
          out === 'f16' ? HALF : 5e-6,
        );
      });
    }
  }

  it('gates', async () => {
    const F = 100;
    const x = randomFloats(rows * 2 * F, 1, 4);
    const call = swigluPlain({ label: 'test', rows: 'tokens', F, x: ref('x'), y: ref('y') });
    const arrays = { x, y: new Float32Array(rows * F) };
    const results = await runKernel(device(), call, arrays, { rows, outputs: ['y'] });
    expectClose(new Float32Array(results.y), swigluReference(x, F), 1e-6);
  });
});
