import { AutoglmError } from '../base/errors.ts';
import type { Capabilities } from '../gpu/capabilities.ts';
import { CudaDevice } from './cuda-device.ts';
import { loadCudaDriver, type CudaDriver, type Handle } from './cuda-driver.ts';
import { readKernelBinary, type KernelBinary, type KernelManifest } from './cuda-kernels.ts';
import {
  cudaError,
  CUDA_INVALID_IMAGE,
  CUDA_INVALID_PTX,
  CUDA_NO_BINARY_FOR_GPU,
  CUDA_NO_DEVICE,
  CUDA_SUCCESS,
  CUDA_UNSUPPORTED_PTX_VERSION,
  describeResult,
  requireSuccess,
} from './cuda-result.ts';

/** CUdevice_attribute values. */
const ATTRIBUTE = {
  multiprocessors: 16,
  computeMajor: 75,
  computeMinor: 76,
  sharedBytesOptIn: 97,
} as const;

/** The oldest GPUs that the kernels are compiled for. */
const LEAST_COMPUTE_CAPABILITY = 7.5;

/** How to open a CUDA device; tests give their own driver and kernels. */
export interface OpenCudaOptions {
  readonly loadDriver?: () => Promise<CudaDriver>;
  readonly readKernels?: () => Promise<KernelBinary>;
}

/**
 * Opens the first NVIDIA GPU (`CUDA_VISIBLE_DEVICES` chooses another) with the package's kernels.
 *
 * @throws AutoglmError `cuda-unavailable` without a driver, a GPU, or kernels that both accept
 */
export async function openCudaDevice(options: OpenCudaOptions = {}): Promise<CudaDevice> {
  const driver = await (options.loadDriver ?? loadCudaDriver)();
  const started = driver.cuInit(0);
  if (started !== CUDA_SUCCESS) throw noDevice(describeResult(started));
  const count = readInt((out) => driver.cuDeviceGetCount(out), 'count the GPUs');
  if (count === 0) throw noDevice(describeResult(CUDA_NO_DEVICE));
  const { manifest, image } = await (options.readKernels ?? readKernelBinary)();
  const version = readInt((out) => driver.cuDriverGetVersion(out), "read the driver's version");
  const driverVersion = Math.floor(version / 1000) + (version % 1000) / 100;
  const device = readInt((out) => driver.cuDeviceGet(out, 0), 'find the GPU');
  const facts = readFacts(driver, device);
  requireDriver(driverVersion, manifest);
  if (facts.computeCapability < LEAST_COMPUTE_CAPABILITY) throw tooOld(facts);
  const context = new BigUint64Array(1);
  requireSuccess(driver.cuDevicePrimaryCtxRetain(context, device), 'open the GPU');
  requireSuccess(driver.cuCtxSetCurrent(context[0]), 'use the GPU');
  try {
    const module = loadModule(driver, image, { manifest, facts, driverVersion });
    return new CudaDevice({
      driver,
      manifest,
      module,
      ordinal: device,
      capabilities: describeCapabilities(facts),
      startsEarly: facts.computeCapability >= 9,
    });
  } catch (error) {
    driver.cuDevicePrimaryCtxRelease_v2(device);
    throw error;
  }
}

interface GpuFacts {
  readonly name: string;
  readonly computeCapability: number;
  readonly multiprocessors: number;
  readonly totalBytes: number;
  readonly sharedBytes: number;
}

function readFacts(driver: CudaDriver, device: number): GpuFacts {
  const attribute = (which: keyof typeof ATTRIBUTE): number =>
    readInt((out) => driver.cuDeviceGetAttribute(out, ATTRIBUTE[which], device), `read ${which}`);
  const name = new Uint8Array(128);
  requireSuccess(driver.cuDeviceGetName(name, name.length, device), "read the GPU's name");
  const totalBytes = new BigUint64Array(1);
  requireSuccess(driver.cuDeviceTotalMem_v2(totalBytes, device), "read the GPU's memory");
  return {
    name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
    computeCapability: attribute('computeMajor') + attribute('computeMinor') / 10,
    multiprocessors: attribute('multiprocessors'),
    totalBytes: Number(totalBytes[0]),
    sharedBytes: attribute('sharedBytesOptIn'),
  };
}

function describeCapabilities(facts: GpuFacts): Capabilities {
  const { name, computeCapability, multiprocessors, totalBytes, sharedBytes } = facts;
  return {
    adapter: { vendor: 'nvidia', architecture: `${name} (CUDA)`, device: name, description: name },
    isSoftware: false,
    limits: {
      maxBufferBytes: totalBytes,
      maxBindingBytes: totalBytes,
      maxStorageBuffers: 32,
      maxWorkgroupStorageBytes: sharedBytes,
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
    cuda: { computeCapability, multiprocessors },
  };
}

function loadModule(
  driver: CudaDriver,
  image: Uint8Array,
  about: { manifest: KernelManifest; facts: GpuFacts; driverVersion: number },
): Handle {
  const module = new BigUint64Array(1);
  const result = driver.cuModuleLoadData(module, image);
  if (result === CUDA_SUCCESS) return module[0];
  const { manifest, facts, driverVersion } = about;
  switch (result) {
    case CUDA_NO_BINARY_FOR_GPU:
      throw new AutoglmError('cuda-unavailable', `The package has no kernels for ${facts.name}.`, {
        value: `compute capability ${facts.computeCapability}`,
        limit: manifest.targets,
        cure: 'Update the package, or use --device webgpu.',
      });
    case CUDA_UNSUPPORTED_PTX_VERSION:
    case CUDA_INVALID_PTX:
    case CUDA_INVALID_IMAGE:
      throw oldDriver(driverVersion, manifest.cuda);
    default:
      throw cudaError(result, 'load the kernels');
  }
}

function requireDriver(driverVersion: number, { cuda }: KernelManifest): void {
  // Within a major version every driver runs what any compiler of it made.
  if (Math.floor(driverVersion) < Math.floor(Number(cuda))) throw oldDriver(driverVersion, cuda);
}

function oldDriver(driverVersion: number, cuda: string): AutoglmError {
  const limit = `CUDA ${Math.floor(Number(cuda))}`;
  return new AutoglmError(
    'cuda-unavailable',
    `The NVIDIA driver is too old: it knows CUDA ${driverVersion.toFixed(1)}, and the kernels need ${limit}.`,
    { value: driverVersion, limit, cure: 'Update the NVIDIA driver, or use --device webgpu.' },
  );
}

function tooOld({ name, computeCapability }: GpuFacts): AutoglmError {
  return new AutoglmError('cuda-unavailable', `The GPU ${name} is too old for the kernels.`, {
    value: computeCapability,
    limit: LEAST_COMPUTE_CAPABILITY,
    cure: 'Use --device webgpu.',
  });
}

function noDevice(reason: string): AutoglmError {
  return new AutoglmError('cuda-unavailable', `The NVIDIA driver gives no GPU: ${reason}.`, {
    value: reason,
    cure: 'Check "nvidia-smi", or use --device webgpu.',
  });
}

function readInt(call: (out: Int32Array) => number, action: string): number {
  const out = new Int32Array(1);
  requireSuccess(call(out), action);
  return out[0];
}
