import { describe, expect, it } from 'vitest';
import type { Capabilities, DeviceLimits } from '../gpu/capabilities.ts';
import { MATRIX_WORKGROUP_BYTES } from '../kernels/attention-matrix.ts';
import { ATTENTION_WIDE_BYTES } from '../kernels/attention-wide.ts';
import { MATMUL_TILE_BYTES } from '../kernels/matmul-tile.ts';
import { ROPE_QKV_STORAGE_BUFFERS } from '../kernels/matvec-int8.ts';
import {
  chooseCompileOptions,
  reachesFar,
  withRoom,
  type CompileOptions,
  type CompileRequest,
} from './compile-options.ts';

/** What every WebGPU device grants. */
const LIMITS: DeviceLimits = {
  maxBufferBytes: 2 ** 28,
  maxBindingBytes: 2 ** 27,
  maxStorageBuffers: 8,
  maxWorkgroupStorageBytes: 16384,
  maxWorkgroupInvocations: 256,
  maxWorkgroupsPerDimension: 65535,
  bindingAlignment: 256,
};

const GPU: Capabilities = {
  adapter: { vendor: 'nvidia', architecture: 'lovelace', device: '', description: '' },
  isSoftware: false,
  limits: LIMITS,
  hasShaderF16: false,
  hasSubgroups: true,
  subgroupSizes: { min: 32, max: 32 },
  hasTimestamps: true,
  hasInt8Dot: true,
  hasSubgroupMatrix: false,
};

/** As SwiftShader reports itself. */
const SOFTWARE: Capabilities = { ...GPU, isSoftware: true, subgroupSizes: { min: 4, max: 4 } };

function choose(
  capabilities: Partial<Capabilities> = {},
  request: Partial<CompileRequest> = {},
): CompileOptions {
  return chooseCompileOptions({ ...GPU, ...capabilities }, { context: 4096, ...request });
}

describe('chooseCompileOptions', () => {
  it.each([
    [8, false],
    [ROPE_QKV_STORAGE_BUFFERS - 1, false],
    [ROPE_QKV_STORAGE_BUFFERS, true],
    [16, true],
  ])('with %i storage buffers a kernel: qkv, rope and append are one is %s', (maxStorageBuffers, isFused) => {
    expect(choose({ limits: { ...LIMITS, maxStorageBuffers } }).fusesRope).toBe(isFused);
  });

  const withWorkgroupBytes = (maxWorkgroupStorageBytes: number): Partial<Capabilities> => ({
    hasSubgroupMatrix: true,
    limits: { ...LIMITS, maxWorkgroupStorageBytes },
  });
  const matrices = withWorkgroupBytes(MATRIX_WORKGROUP_BYTES);
  it.each([
    ['matrix', 'subgroup matrices', matrices],
    ['int8', 'too little workgroup memory for them', withWorkgroupBytes(MATRIX_WORKGROUP_BYTES - 1)],
    ['int8', 'the dot product', {}],
    ['f32', 'nothing', { hasInt8Dot: false }],
    ['f32', 'software', { ...matrices, isSoftware: true }],
  ] as const)('multiplies many rows in %s on a device with %s', (manyRows, _, capabilities) => {
    expect(choose(capabilities).manyRows).toBe(manyRows);
    expect(choose(capabilities, { manyRows: 'int8' }).manyRows).toBe('int8');
  });

  const largeTileBytes = Math.max(MATMUL_TILE_BYTES, ATTENTION_WIDE_BYTES);
  it.each([
    [largeTileBytes, false, true],
    [largeTileBytes - 1, false, false],
    [largeTileBytes, true, false],
  ])('with %i bytes of workgroup memory, software %s: larger tiles %s', (bytes, isSoftware, largeTiles) => {
    const limits = { ...LIMITS, maxWorkgroupStorageBytes: bytes };
    expect(choose({ limits, isSoftware }).largeTiles).toBe(largeTiles);
  });

  it('decodes in int8 on a GPU with the dot product, in f32 without it or in software', () => {
    expect(choose().arithmetic).toBe('int8');
    expect(choose({ hasInt8Dot: false }).arithmetic).toBe('f32');
    expect(choose(SOFTWARE).arithmetic).toBe('f32');
  });

  it('reduces by subgroups where they are there and larger than four', () => {
    expect(choose().reduction).toBe('subgroup');
    expect(choose({ hasSubgroups: false }).reduction).toBe('workgroup');
    expect(choose(SOFTWARE).reduction).toBe('workgroup');
    // Some drivers report a range, of which any size may come.
    expect(choose({ subgroupSizes: { min: 4, max: 128 } }).reduction).toBe('workgroup');
    expect(choose({ subgroupSizes: { min: 8, max: 32 } }).reduction).toBe('subgroup');
  });

  it('takes rows in turn where every subgroup has the same size', () => {
    expect(choose().turns?.mostLanes).toBe(LIMITS.maxWorkgroupInvocations);
    expect(choose({ limits: { ...LIMITS, maxWorkgroupInvocations: 1024 } }).turns?.mostLanes).toBe(480);
    expect(choose(SOFTWARE, { reduction: 'subgroup' }).turns?.mostLanes).toBe(60);
    expect(choose({ subgroupSizes: { min: 8, max: 32 } }).turns).toBeUndefined();
    expect(choose({}, { reduction: 'workgroup' }).turns).toBeUndefined();
  });

  it('lets the caller decide against the device', () => {
    expect(choose(SOFTWARE, { arithmetic: 'int8', reduction: 'subgroup' })).toMatchObject({
      arithmetic: 'int8',
      reduction: 'subgroup',
    });
    expect(choose({}, { arithmetic: 'f32', reduction: 'workgroup' })).toMatchObject({
      arithmetic: 'f32',
      reduction: 'workgroup',
    });
    const request = { context: 100, slots: 4, cacheFormat: 'f32', prefillChunk: 32 } as const;
    expect(choose({}, request)).toMatchObject(request);
  });

  it('keeps one sequence in f16 unless asked otherwise', () => {
    expect(choose()).toMatchObject({ context: 4096, slots: 1, cacheFormat: 'f16' });
  });

  it('gives a software adapter shorter chunks, so that an abort is seen in time', () => {
    expect(choose(SOFTWARE).prefillChunk).toBeLessThan(choose().prefillChunk);
  });

  it('takes no chunk longer than the context, in whole tiles, with room for speed or without', () => {
    for (const context of [100, 512, 1024, 4096, 8192]) {
      const plain = choose({}, { context }).prefillChunk;
      const roomy = choose({}, withRoom({ context }, GPU)).prefillChunk;
      const longest = Math.ceil(context / 128) * 128;
      expect([plain, roomy]).toEqual([Math.min(1024, longest), Math.min(4096, longest)]);
    }
  });

  it('multiplies without workgroup memory in software', () => {
    expect(choose().products).toBe('shared');
    expect(choose(SOFTWARE).products).toBe('direct');
  });

  const devices: readonly [string, Partial<Capabilities>][] = [
    ['the least GPU', {}],
    ['a software adapter', SOFTWARE],
    ['a GPU of 1024 invocations', { limits: { ...LIMITS, maxWorkgroupInvocations: 1024 } }],
    [
      'a GPU of 1024 invocations and 32 KiB',
      { limits: { ...LIMITS, maxWorkgroupInvocations: 1024, maxWorkgroupStorageBytes: 32768 } },
    ],
    [
      'a GPU of odd limits',
      { limits: { ...LIMITS, maxWorkgroupInvocations: 896, maxWorkgroupStorageBytes: 24576 } },
    ],
  ];
  it.each(devices)('takes workgroups that %s grants', (_name, capabilities) => {
    const { maxWorkgroupInvocations, maxWorkgroupStorageBytes } = capabilities.limits ?? LIMITS;
    const { rowWorkgroup, matvecWorkgroup, sampleWorkgroup } = choose(capabilities);
    for (const workgroup of [rowWorkgroup, matvecWorkgroup, sampleWorkgroup]) {
      expect(workgroup).toBeLessThanOrEqual(maxWorkgroupInvocations);
      // Reductions halve it.
      expect(Math.log2(workgroup) % 1).toBe(0);
    }
    // sandwich-norm-int8: 16 bytes an invocation for the sum, 16 for the digits, in groups of eight invocations.
    expect(rowWorkgroup * 32).toBeLessThanOrEqual(maxWorkgroupStorageBytes);
    expect(rowWorkgroup % 8).toBe(0);
    // The sampler's last invocations merge 16 at a time.
    expect(sampleWorkgroup).toBeGreaterThanOrEqual(16);
  });

  it.each([
    [true, 'a longer context', { context: 25_600 }],
    [false, 'a context that ends before', { context: 2048 }],
    [true, 'a context behind the keys that it was told', { context: 4096, farKeys: 4095 }],
    [false, 'one that they fill', { context: 4096, farKeys: 4096 }],
    [false, 'no whole layers', { context: 25_600, layerTiling: undefined }],
  ])('has a step that reaches far: %s, with %s', (isFar, _, request) => {
    const layerTiling = { workgroups: 132, workgroup: 512, splits: 64 };
    expect(reachesFar(choose({}, { layerTiling, ...request } as CompileRequest), 1)).toBe(isFar);
  });

  const NARROW = { subgroupSizes: { min: 4, max: 4 } };
  it.each([
    [[2, 3, 4], 'subgroups of one size and a longer context', {}, {}],
    [[], 'a context that ends before', {}, { context: 2048 }],
    [[], 'subgroups too small for it', NARROW, { reduction: 'subgroup' }],
    [[], 'subgroups of many sizes', { subgroupSizes: { min: 8, max: 32 } }, {}],
    [[], 'splits that the caller shapes', {}, { splitTiling: choose().splitTiling }],
    [[], 'products in f32', {}, { arithmetic: 'f32' }],
    [[], 'CUDA', { cuda: { computeCapability: 9, multiprocessors: 132 } }, {}],
  ] as const)('has it for %j sequences by dispatches, with %s', (columns, _, capabilities, request) => {
    const options = choose(capabilities as Partial<Capabilities>, request as Partial<CompileRequest>);
    expect([1, 2, 3, 4, 5, 8].filter((count) => reachesFar(options, count))).toEqual(columns);
  });
});
