/**
 * Without a GPU: the CUDA kernels compile, and every kernel that a CUDA Plan calls exists with the parameters that the
 * call gives. Where no nvcc is installed, the tests are skipped by name.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildCuda, preprocess, readKernels } from '../helper/build-cuda.mjs';
import {
  bufferNames,
  KERNEL_ABI,
  parameterOf,
  resolveKernel,
  type KernelManifest,
} from '../helper/cuda-kernels.ts';
import { findNvcc } from '../helper/find-nvcc.mjs';
import type { Capabilities } from '../gpu/capabilities.ts';
import { fillRandom } from '../kernels/fill-random.ts';
import type { KernelCall } from '../kernels/kernel.ts';
import { mergeLogprobs, type LogprobTarget } from '../kernels/merge-logprobs.ts';
import { topLogprobs } from '../kernels/top-logprobs.ts';
import { chooseCompileOptions } from '../model/compile-options.ts';
import { compileCudaPacking } from '../model/compile-cuda-text.ts';
import { compileSampler } from '../model/compile-sampler.ts';
import { compileDecode, compileHead, compilePrefill } from '../model/compile-text.ts';
import { compilePatchFold, compileVision } from '../model/compile-vision.ts';
import { parseModelConfig } from '../model/config.ts';
import { storedArrays, weightFormat, type Quantization } from '../model/quantization.ts';
import { createSyntheticConfig } from '../model/synthetic.ts';
import { expectedTensors } from '../model/tensor-names.ts';
import { layOutWeights, type StoredTensor } from '../model/weight-layout.ts';

const nvcc = findNvcc();
const absent = nvcc ? '' : ' (nvcc is absent: CUDA_HOME, PATH and the cache folder have none)';

/** An H100, as the CUDA backend reports it. */
const CAPABILITIES: Capabilities = {
  adapter: { vendor: 'nvidia', architecture: 'NVIDIA H100 (CUDA)', device: '', description: '' },
  isSoftware: false,
  limits: {
    maxBufferBytes: 80e9,
    maxBindingBytes: 80e9,
    maxStorageBuffers: 32,
    maxWorkgroupStorageBytes: 227 * 1024,
    maxWorkgroupInvocations: 1024,
    maxWorkgroupsPerDimension: 65535,
    bindingAlignment: 256,
  },
  hasShaderF16: true,
  hasSubgroups: true,
  subgroupSizes: { min: 32, max: 32 },
  hasTimestamps: true,
  hasInt8Dot: true,
  hasSubgroupMatrix: true,
  cuda: { computeCapability: 9, multiprocessors: 132 },
};

/** Every call of every Plan of a model of two layers, and of what runs around the Plans. */
function allCalls(quantization: Quantization, cacheFormat: 'f16' | 'f32'): KernelCall[] {
  const config = parseModelConfig(createSyntheticConfig(2, 2));
  const stored = expectedTensors(config).flatMap((tensor) =>
    storedArrays(tensor, weightFormat(tensor, quantization)).map((array): [string, StoredTensor] => [
      array.name,
      array,
    ]),
  );
  const layout = layOutWeights(config, new Map(stored), CAPABILITIES.limits);
  const options = chooseCompileOptions(CAPABILITIES, { context: 4096, slots: 8, cacheFormat });
  const columns = Array.from({ length: 8 }, (_, index) => index + 1);
  const plans = [
    compileCudaPacking(layout.text, config.text, options),
    compilePatchFold(config, layout.vision),
    compileVision(config, layout.vision, options, 256),
    compilePrefill(config, layout.text, options),
    ...columns.map((count) => compileDecode(config, layout.text, options, count)),
    ...columns.map((count) =>
      compileDecode(config, layout.text, { ...options, stepKernelColumns: 4 }, count),
    ),
    ...columns.map((count) => compileHead(config, layout.text, options, count)),
    ...columns.map((count) => compileSampler(config.text, options, count)),
  ];
  const words = { buffer: 'words' };
  const ranked = { label: 'rank', batch: 1, V: 151552, K: 5, workgroup: 256, logits: words, best: words };
  const rankings = ([{ targets: words }, { rows: words, ring: 64 }] satisfies LogprobTarget[]).map((target) =>
    mergeLogprobs({ ...ranked, sums: words, target, logprobs: words }),
  );
  return [
    ...plans.flatMap(({ calls }) => calls),
    fillRandom({ label: 'fill', count: 1, seed: 1, keep: 1, force: 0, words }),
    topLogprobs({ ...ranked, sums: words }),
    ...rankings,
  ];
}

describe.skipIf(!nvcc)(`CUDA kernels${absent}`, () => {
  const kernels = nvcc ? readKernels(preprocess(nvcc)) : {};
  const manifest: KernelManifest = { abi: KERNEL_ABI, cuda: '13.0', targets: [], sha256: '', kernels };

  it.each([
    ['q4f16_1', 'f16'],
    ['q4f16_1', 'f32'],
    ['q8f16_1', 'f16'],
    ['q0f16', 'f16'],
    ['q0f32', 'f32'],
  ] as const)('has every kernel of a %s model with a cache in %s, with its parameters', (format, cache) => {
    const used = new Set<string>();
    for (const { label, program, bindings } of allCalls(format, cache)) {
      const { symbol, facts } = resolveKernel(manifest, program);
      used.add(symbol);
      const names = new Set(Object.keys(bindings).map(parameterOf));
      expect([...names].toSorted(), `${label}: ${symbol}`).toEqual(bufferNames(facts).toSorted());
    }
    expect(used.size).toBeGreaterThan(15);
  });

  it('names threads and shared memory that a GPU has', () => {
    for (const [name, { threads, sharedBytes, parameters }] of Object.entries(kernels)) {
      expect(threads % 32, name).toBe(0);
      expect(threads, name).toBeLessThanOrEqual(1024);
      expect(sharedBytes, name).toBeLessThanOrEqual(CAPABILITIES.limits.maxWorkgroupStorageBytes);
      expect(parameters.length, name).toBeGreaterThan(1);
    }
  });

  it('compiles to a binary that goes with its list', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'autoglm-cuda-'));
    try {
      // Machine code of one GPU and PTX for the oldest; all of them take minutes.
      const targets = ['sm_90a', 'compute_75'];
      const built = await buildCuda({ nvcc: nvcc as NonNullable<typeof nvcc>, folder, targets });
      expect(built.kernels).toEqual(kernels);
      expect(built.targets).toEqual(targets);
      expect(built.sha256).toMatch(/^[0-9a-f]{64}$/);
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 300_000);
});
