import { AutoglmError } from '../base/errors.ts';
import type { Capabilities } from './capabilities.ts';
import { WebGpuDevice } from './webgpu-device.ts';

/** How to open a WebGPU device. */
export interface OpenOptions {
  /** Default: `navigator.gpu`. Node passes Dawn's. */
  readonly gpu?: GPU | undefined;
  /** Features to leave out although the adapter has them, with what needs them; for tests and for measuring variants. */
  readonly withoutFeatures?: readonly string[];
  /**
   * Limits to stay below although the adapter grants more; for tests of weak devices. No device grants less than
   * WebGPU's defaults: a cap below them is kept by what plans with the report.
   */
  readonly limitCaps?: Partial<Record<LimitName, number>>;
}

type LimitName = (typeof LIMITS)[number];

const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;

const FEATURES = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
  'subgroup-size-control',
] as const;

/** Features that a device grants only together with another: asking for one turns the other on. */
const NEEDED_FEATURE: Readonly<Partial<Record<string, string>>> = {
  'subgroup-size-control': 'subgroups',
  'chromium-experimental-subgroup-matrix': 'subgroups',
};

/**
 * Adapter requests may come back empty for a moment in a headless page's first half second. While a GPU process
 * that crashed starts again they do too, or the adapter gives no device; Chromium takes about a second for it.
 */
const RETRY_DELAYS_MS = [0, 500, 1500] as const;

/**
 * Opens the high-performance adapter with every feature and limit that the engine can use.
 *
 * @throws AutoglmError `webgpu-unavailable` when the platform has no WebGPU or gives no adapter.
 */
export async function openWebGpuDevice(options: OpenOptions = {}): Promise<WebGpuDevice> {
  const gpu = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu) {
    throw new AutoglmError('webgpu-unavailable', 'This browser has no WebGPU (navigator.gpu is missing).', {
      cure: 'Use a current Chrome, Edge, Safari or Firefox over HTTPS or localhost.',
    });
  }
  const { limitCaps = {} } = options;
  const { adapter, device } = await retrying(async () => {
    const found = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    return found && { adapter: found, device: await requestDevice(found, options) };
  });
  const language = {
    int8Dot: gpu.wgslLanguageFeatures.has('packed_4x8_integer_dot_product'),
    subgroupId: gpu.wgslLanguageFeatures.has('subgroup_id'),
  };
  return new WebGpuDevice(device, readCapabilities(adapter, device, { language, limitCaps }));
}

function requestDevice(
  adapter: GPUAdapter,
  { withoutFeatures = [], limitCaps = {} }: OpenOptions,
): Promise<GPUDevice> {
  const requiredFeatures = FEATURES.filter(
    (name) =>
      adapter.features.has(name) &&
      !withoutFeatures.includes(name) &&
      !withoutFeatures.includes(NEEDED_FEATURE[name] ?? ''),
  ) as GPUFeatureName[];
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMITS) {
    requiredLimits[name] = Math.min(adapter.limits[name] as number, limitCaps[name] ?? Infinity);
  }
  return adapter.requestDevice({ label: 'autoglm', requiredFeatures, requiredLimits });
}

/** Tries until there is a result. @throws AutoglmError `webgpu-unavailable` */
async function retrying<T>(open: () => Promise<T | null>): Promise<T> {
  let cause: unknown;
  for (const delayMs of RETRY_DELAYS_MS) {
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    try {
      const opened = await open();
      if (opened !== null) return opened;
    } catch (error) {
      cause = error;
    }
  }
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  throw new AutoglmError(
    'webgpu-unavailable',
    `WebGPU gave no ${cause ? 'device' : 'adapter'} in ${RETRY_DELAYS_MS.length} attempts${reason}.`,
    {
      value: null,
      limit: 'a GPU that the browser accepts',
      // Chromium keeps pages from a GPU whose process crashed twice in two minutes.
      cure:
        'If the GPU just crashed, reload the page. Else update the graphics driver, or switch on hardware ' +
        'acceleration in the browser settings.',
      cause,
    },
  );
}

function readCapabilities(
  adapter: GPUAdapter,
  device: GPUDevice,
  {
    language,
    limitCaps,
  }: {
    language: { readonly int8Dot: boolean; readonly subgroupId: boolean };
    limitCaps: NonNullable<OpenOptions['limitCaps']>;
  },
): Capabilities {
  const { limits, features } = device;
  const limit = (name: LimitName): number => Math.min(limits[name], limitCaps[name] ?? Infinity);
  const { vendor, architecture, device: deviceName, description } = adapter.info;
  const info = adapter.info as GPUAdapterInfo & { isFallbackAdapter?: boolean };
  const has = (name: string): boolean => features.has(name as GPUFeatureName);
  return {
    adapter: { vendor, architecture, device: deviceName, description },
    isSoftware:
      info.isFallbackAdapter === true ||
      /swiftshader|llvmpipe|basic render/i.test(`${architecture} ${description}`),
    limits: {
      maxBufferBytes: limit('maxBufferSize'),
      maxBindingBytes: limit('maxStorageBufferBindingSize'),
      maxStorageBuffers: limit('maxStorageBuffersPerShaderStage'),
      maxWorkgroupStorageBytes: limit('maxComputeWorkgroupStorageSize'),
      maxWorkgroupInvocations: limit('maxComputeInvocationsPerWorkgroup'),
      maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      bindingAlignment: limits.minStorageBufferOffsetAlignment,
    },
    hasShaderF16: has('shader-f16'),
    hasSubgroups: has('subgroups'),
    subgroupSizes: { min: info.subgroupMinSize ?? 4, max: info.subgroupMaxSize ?? 128 },
    hasTimestamps: has('timestamp-query'),
    hasInt8Dot: language.int8Dot,
    hasSubgroupMatrix: hasMatrices(info, has) && language.subgroupId,
  };
}

/** A shape of matrices that an adapter multiplies. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What the kernels with subgroup matrices are written for. */
const MATRIX_FEATURES = [
  'chromium-experimental-subgroup-matrix',
  'subgroup-size-control',
  'subgroups',
  'shader-f16',
];

function hasMatrices(
  info: GPUAdapterInfo & { readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig> },
  has: (feature: string) => boolean,
): boolean {
  const isKnown = ({ componentType, resultComponentType, M, N, K }: SubgroupMatrixConfig): boolean =>
    componentType === 'f16' && resultComponentType === 'f32' && M === 16 && N === 16 && K === 16;
  return (
    MATRIX_FEATURES.every(has) &&
    (info.subgroupMinSize ?? 0) <= 32 &&
    (info.subgroupMaxSize ?? 0) >= 32 &&
    [...(info.subgroupMatrixConfigs ?? [])].some(isKnown)
  );
}
