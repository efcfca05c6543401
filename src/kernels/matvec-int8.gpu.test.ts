import { describe, expect, it } from 'vitest';
import { expectCacheClose, packCache, UNTOUCHED_CACHE } from './cache-packing.test-support.ts';
import { encodeInt8 } from './int8-activations.reference.ts';
import { int8Target, INT8_TARGET, magnitude, randomGroups } from './int8-parity.test-support.ts';
import type { CacheFormat, Reduction } from './kernel.ts';
import { matvecInt8, ROPE_QKV_STORAGE_BUFFERS, ropeQkvInt8 } from './matvec-int8.ts';
import { matvecInt8Reference, ropeQkvInt8Reference } from './matvec-int8.reference.ts';
import { matvecReference } from './matvec.reference.ts';
import { expectClose, randomFloats, ref, rowWords, runKernel, useDevice } from './parity.test-support.ts';
import { quantizeActivations } from './quantize-activations.ts';
import type { RopeAppendSizes, TokenPlace } from './rope-append.reference.ts';
import type { RowTiling } from './row-tiling.ts';
import { packMatrix } from './weight-packing.test-support.ts';

/** Error of the kernel's f32 sums, and of a product with rounded activations, as shares of the largest output. */
const SUM_TOLERANCE = 1e-6;
const PRODUCT_TOLERANCE = 1e-4;

/** A value that no product gives, to see what stays untouched. */
const UNTOUCHED = 12345;

const X = INT8_TARGET;

/** How a product shares its work. */
interface RowVariant {
  readonly reduction: Reduction;
  readonly tiling: RowTiling;
}

describe('MatvecInt8', () => {
  const device = useDevice();

  interface Case extends RowVariant {
    readonly columns: number;
    readonly N: number;
    readonly K: number;
    readonly partRows?: readonly number[];
  }
  const cases: readonly Case[] = [
    { columns: 1, N: 1, K: 32, reduction: 'workgroup', tiling: { lanes: 32, sets: 1, rows: 4 } },
    { columns: 2, N: 7, K: 96, reduction: 'subgroup', tiling: { lanes: 64, sets: 1, rows: 8 } },
    { columns: 3, N: 130, K: 704, reduction: 'workgroup', tiling: { lanes: 8, sets: 4, rows: 8 } },
    { columns: 4, N: 65, K: 160, reduction: 'subgroup', tiling: { lanes: 32, sets: 2, rows: 4 } },
    { columns: 5, N: 9, K: 544, reduction: 'workgroup', tiling: { lanes: 16, sets: 1, rows: 4 } },
    {
      columns: 1,
      N: 77,
      K: 96,
      reduction: 'subgroup',
      tiling: { lanes: 64, sets: 2, rows: 4 },
      partRows: [40, 37],
    },
    { columns: 6, N: 50, K: 608, reduction: 'subgroup', tiling: { lanes: 128, sets: 1, rows: 8 } },
    { columns: 7, N: 12, K: 64, reduction: 'workgroup', tiling: { lanes: 128, sets: 1, rows: 4 } },
    {
      columns: 8,
      N: 43,
      K: 704,
      reduction: 'subgroup',
      tiling: { lanes: 32, sets: 4, rows: 16 },
      partRows: [3, 40],
    },
    {
      columns: 2,
      N: 23,
      K: 32,
      reduction: 'subgroup',
      tiling: { lanes: 4, sets: 3, rows: 4, inTurn: true },
    },
    {
      // An odd number of groups, of which invocations past the end have none.
      columns: 3,
      N: 65,
      K: 352,
      reduction: 'subgroup',
      tiling: { lanes: 12, sets: 4, rows: 4, inTurn: true },
    },
    {
      columns: 4,
      N: 103,
      K: 608,
      reduction: 'subgroup',
      tiling: { lanes: 20, sets: 5, rows: 4, inTurn: true },
      partRows: [61, 42],
    },
    {
      // More sums than invocations.
      columns: 4,
      N: 70,
      K: 256,
      reduction: 'subgroup',
      tiling: { lanes: 8, sets: 8, rows: 8, inTurn: true },
    },
  ];
  for (const { columns, N, K, partRows, ...variant } of cases) {
    const parts = partRows ? `, parts of ${partRows.join(' and ')} rows` : '';
    const name = `${columns} columns by ${N}x${K}${parts}, ${describeTiling(variant.tiling)}, ${variant.reduction}`;
    it(`matches the reference for ${name}`, async () => {
      const weight = packMatrix('weight', { N, K, format: 'q4', seed: 1, ...(partRows && { partRows }) });
      const x = randomGroups(columns * K, 2);
      const y = new Float32Array((columns + 1) * N).fill(UNTOUCHED);
      const calls = matvecInt8({
        label: 'test',
        columns,
        ...variant,
        weight: weight.matrix,
        x: X,
        y: ref('y'),
      });
      const arrays = { ...weight.arrays, ...encodeInt8(x, K), y };
      const results = await runKernel(device(), calls, arrays, { outputs: ['y'] });
      const actual = new Float32Array(results.y);
      const products = actual.subarray(0, columns * N);
      expectClose(products, matvecInt8Reference(x, weight.values, { N, K }), SUM_TOLERANCE);
      expect(actual.subarray(columns * N)).toEqual(new Float32Array(N).fill(UNTOUCHED));
    });
  }

  /** Rounds x and multiplies it by a weight, both on the device. */
  async function multiply(
    x: Float32Array<ArrayBuffer>,
    {
      N,
      K,
      seed,
      reduction = 'workgroup',
      tiling = { lanes: 16, sets: 1, rows: 4 },
    }: { N: number; K: number; seed: number } & Partial<RowVariant>,
  ): Promise<{ actual: Float32Array; expected: Float32Array }> {
    const columns = x.length / K;
    const weight = packMatrix('weight', { N, K, format: 'q4', seed });
    const calls = [
      quantizeActivations({ label: 'quantize', rows: 'tokens', K, x: ref('x'), y: X }),
      ...matvecInt8({
        label: 'product',
        columns,
        weight: weight.matrix,
        reduction,
        tiling,
        x: X,
        y: ref('y'),
      }),
    ];
    const arrays = { ...weight.arrays, x, ...int8Target(x.length), y: new Float32Array(columns * N) };
    const results = await runKernel(device(), calls, arrays, { rows: columns, outputs: ['y'] });
    return { actual: new Float32Array(results.y), expected: matvecReference(x, weight.values, { N, K }) };
  }

  // One digit would miss this by a factor of 50.
  it.each([
    ['one magnitude', randomFloats],
    ['groups of different magnitudes', randomGroups],
  ])('stays close to the product of unrounded rows of %s', async (_name, random) => {
    for (const seed of [1, 2, 3]) {
      const { actual, expected } = await multiply(random(2 * 704, seed), { N: 65, K: 704, seed });
      expectClose(actual, expected, PRODUCT_TOLERANCE);
    }
  });

  it('gives zeros for a row of zeros', async () => {
    const x = randomFloats(3 * 96, 1).fill(0, 96, 192);
    const { actual } = await multiply(x, { N: 5, K: 96, seed: 1 });
    expect(actual.subarray(5, 10)).toEqual(new Float32Array(5));
    expect(magnitude(actual.subarray(0, 5))).toBeGreaterThan(0);
    expect(magnitude(actual.subarray(10))).toBeGreaterThan(0);
  });

  // The sampler finds damaged weights by their logits, so that none may come out as a number.
  const IN_TURN: RowVariant = {
    reduction: 'subgroup',
    tiling: { lanes: 4, sets: 2, rows: 4, inTurn: true },
  };
  it.each([
    [NaN, 'side by side', {}],
    [Infinity, 'side by side', {}],
    [-Infinity, 'side by side', {}],
    [NaN, 'in turn', IN_TURN],
  ] as const)(
    'passes %f on to all outputs of its row, and to no other, by sets %s',
    async (fault, _name, variant) => {
      const x = randomFloats(3 * 96, 1);
      x[96 + 40] = fault;
      const { actual } = await multiply(x, { N: 5, K: 96, seed: 1, ...variant });
      const isFinite = Array.from(actual, (value) => Number.isFinite(value));
      expect(isFinite).toEqual([...Array(5).fill(true), ...Array(5).fill(false), ...Array(5).fill(true)]);
    },
  );
});

/** A tiling in the words of a test's name. */
function describeTiling({ lanes, sets, rows, inTurn }: RowTiling): string {
  return inTurn ? `${sets} turns of ${rows} rows, ${lanes} lanes` : `${sets} x ${lanes} lanes, ${rows} rows`;
}

describe('RopeQkvInt8', () => {
  const device = useDevice({ storageBuffers: ROPE_QKV_STORAGE_BUFFERS });

  interface Case extends RopeAppendSizes {
    readonly K: number;
    readonly cacheFormat: CacheFormat;
    readonly reduction: Reduction;
    readonly tiling: RowTiling;
    readonly partRows?: readonly number[];
    readonly tokens: readonly TokenPlace[];
  }
  const cases: readonly Case[] = [
    {
      H: 1,
      KV: 1,
      D: 32,
      rotaryDimensions: 32,
      mropeSections: [16, 0, 0],
      context: 3,
      K: 32,
      cacheFormat: 'f32',
      reduction: 'workgroup',
      tiling: { lanes: 32, sets: 1, rows: 4 },
      tokens: [{ position: [5, 5, 5], slot: 0, cacheIndex: 2 }],
    },
    {
      H: 4,
      KV: 2,
      D: 32,
      rotaryDimensions: 16,
      mropeSections: [2, 3, 3],
      context: 9,
      K: 96,
      cacheFormat: 'f16',
      reduction: 'subgroup',
      tiling: { lanes: 32, sets: 2, rows: 8 },
      tokens: [
        { position: [3, 4, 6], slot: 0, cacheIndex: 4 },
        { position: [3, 5, 2], slot: 1, cacheIndex: 5 },
        { position: [19, 0, 7], slot: 3, cacheIndex: 8 },
      ],
    },
    {
      H: 2,
      KV: 2,
      D: 128,
      rotaryDimensions: 64,
      mropeSections: [8, 12, 12],
      context: 5,
      K: 160,
      cacheFormat: 'q8',
      reduction: 'subgroup',
      tiling: { lanes: 32, sets: 1, rows: 4 },
      tokens: [
        { position: [7, 8, 9], slot: 2, cacheIndex: 0 },
        { position: [0, 1, 2], slot: 0, cacheIndex: 4 },
      ],
    },
    {
      H: 2,
      KV: 1,
      D: 32,
      rotaryDimensions: 16,
      mropeSections: [2, 3, 3],
      context: 6,
      K: 96,
      cacheFormat: 'f16',
      reduction: 'subgroup',
      tiling: { lanes: 4, sets: 3, rows: 4, inTurn: true },
      tokens: [
        { position: [3, 4, 6], slot: 1, cacheIndex: 4 },
        { position: [3, 5, 2], slot: 0, cacheIndex: 5 },
        { position: [19, 0, 7], slot: 3, cacheIndex: 1 },
        { position: [8, 1, 1], slot: 2, cacheIndex: 0 },
      ],
    },
    {
      // Parts end in the middle of a head.
      H: 2,
      KV: 1,
      D: 64,
      rotaryDimensions: 32,
      mropeSections: [4, 6, 6],
      context: 4,
      K: 64,
      cacheFormat: 'f16',
      reduction: 'workgroup',
      tiling: { lanes: 8, sets: 2, rows: 4 },
      partRows: [88, 164, 4],
      tokens: Array.from({ length: 8 }, (_, slot) => {
        return { position: [slot, 19 - slot, 2 * slot] as const, slot: 7 - slot, cacheIndex: slot % 4 };
      }),
    },
  ];
  for (const { cacheFormat, reduction, tiling, partRows, tokens, K, ...sizes } of cases) {
    const { H, KV, D, rotaryDimensions, mropeSections, context } = sizes;
    const name =
      `${tokens.length} columns of ${K}, ${H} heads on ${KV} of ${D}, ${rotaryDimensions} rotating ` +
      `in sections of ${mropeSections.join(', ')}, ${cacheFormat} cache, ${describeTiling(tiling)}, ${reduction}` +
      (partRows ? `, parts of ${partRows.join(', ')} rows` : '');
    it(`matches the reference for ${name}`, async () => {
      const N = (H + 2 * KV) * D;
      const columns = tokens.length;
      // One slot more than there are tokens in, to see what runs over.
      const slots = Math.max(...tokens.map(({ slot }) => slot)) + 2;
      const weight = packMatrix('weight', { N, K, format: 'q4', seed: 1, ...(partRows && { partRows }) });
      const x = randomGroups(columns * K, 2);
      const inputs = {
        bias: randomFloats(N, 3),
        // Any numbers do for a table: they show where each pair reads.
        rope: randomFloats(20 * rotaryDimensions, 4),
      };
      const empty = new Float32Array(slots * KV * context * D).fill(UNTOUCHED_CACHE);
      const arrays = {
        ...weight.arrays,
        ...encodeInt8(x, K),
        ...inputs,
        rows: rowWords(tokens),
        q: new Float32Array((columns + 1) * H * D).fill(UNTOUCHED),
        keys: packCache(empty, cacheFormat),
        values: packCache(empty, cacheFormat),
      };
      const calls = ropeQkvInt8({
        label: 'test',
        columns,
        reduction,
        tiling,
        weight: weight.matrix,
        ...sizes,
        cacheFormat,
        x: X,
        bias: ref('bias'),
        rope: ref('rope'),
        rows: ref('rows'),
        q: ref('q'),
        keys: ref('keys'),
        values: ref('values'),
      });
      const results = await runKernel(device(), calls, arrays, { outputs: ['q', 'keys', 'values'] });
      const cache = { keys: empty.slice(), values: empty.slice() };
      const expected = ropeQkvInt8Reference({ ...inputs, x, weight: weight.values }, tokens, cache, sizes);
      const q = new Float32Array(results.q);
      expectClose(q.subarray(0, columns * H * D), expected, SUM_TOLERANCE);
      expect(q.subarray(columns * H * D)).toEqual(new Float32Array(H * D).fill(UNTOUCHED));
      for (const kind of ['keys', 'values'] as const) {
        expectCacheClose(results[kind], cache[kind], { format: cacheFormat, tolerance: SUM_TOLERANCE });
      }
    });
  }
});
