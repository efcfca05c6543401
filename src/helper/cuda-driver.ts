import { AutoglmError } from '../base/errors.ts';

/** A handle or device address of the driver: 64 bits. */
export type Handle = bigint;

/**
 * The functions of the CUDA driver that the backend calls, with C's calling order. Each returns a `CUresult`.
 * `out` parameters are typed arrays that the driver writes.
 */
export interface CudaDriver {
  cuInit(flags: number): number;
  cuDriverGetVersion(version: Int32Array): number;
  cuDeviceGetCount(count: Int32Array): number;
  cuDeviceGet(device: Int32Array, ordinal: number): number;
  cuDeviceGetName(name: Uint8Array, length: number, device: number): number;
  cuDeviceGetAttribute(value: Int32Array, attribute: number, device: number): number;
  cuDeviceTotalMem_v2(bytes: BigUint64Array, device: number): number;
  cuDevicePrimaryCtxRetain(context: BigUint64Array, device: number): number;
  cuDevicePrimaryCtxRelease_v2(device: number): number;
  cuCtxSetCurrent(context: Handle): number;
  cuMemGetInfo_v2(free: BigUint64Array, total: BigUint64Array): number;
  cuStreamCreate(stream: BigUint64Array, flags: number): number;
  cuStreamDestroy_v2(stream: Handle): number;
  cuStreamSynchronize(stream: Handle): number;
  cuStreamBeginCapture_v2(stream: Handle, mode: number): number;
  cuStreamEndCapture(stream: Handle, graph: BigUint64Array): number;
  cuGraphInstantiateWithFlags(executable: BigUint64Array, graph: Handle, flags: bigint): number;
  cuGraphLaunch(executable: Handle, stream: Handle): number;
  cuGraphExecDestroy(executable: Handle): number;
  cuGraphDestroy(graph: Handle): number;
  cuEventCreate(event: BigUint64Array, flags: number): number;
  cuEventRecord(event: Handle, stream: Handle): number;
  cuEventQuery(event: Handle): number;
  cuEventSynchronize(event: Handle): number;
  cuEventElapsedTime_v2(milliseconds: Float32Array, start: Handle, end: Handle): number;
  cuEventDestroy_v2(event: Handle): number;
  cuMemAlloc_v2(address: BigUint64Array, bytes: bigint): number;
  cuMemFree_v2(address: Handle): number;
  cuMemAllocHost_v2(pointer: BigUint64Array, bytes: bigint): number;
  cuMemFreeHost(pointer: Handle): number;
  cuMemcpyHtoDAsync_v2(target: Handle, source: Handle, bytes: bigint, stream: Handle): number;
  cuMemcpyDtoHAsync_v2(target: Handle, source: Handle, bytes: bigint, stream: Handle): number;
  cuMemcpyDtoDAsync_v2(target: Handle, source: Handle, bytes: bigint, stream: Handle): number;
  cuMemsetD8Async(target: Handle, value: number, bytes: bigint, stream: Handle): number;
  cuModuleLoadData(module: BigUint64Array, image: Uint8Array): number;
  cuModuleUnload(module: Handle): number;
  cuModuleGetFunction(kernel: BigUint64Array, module: Handle, name: string): number;
  cuFuncSetAttribute(kernel: Handle, attribute: number, value: number): number;
  cuLaunchKernelEx(config: Uint8Array, kernel: Handle, parameters: Handle, extra: Handle): number;
  /** Memory of the driver, such as pinned memory, as bytes of JavaScript. */
  view(pointer: Handle, byteLength: number): ArrayBuffer;
  /** Where an ArrayBuffer's bytes lie; valid as long as it lives. */
  addressOf(buffer: ArrayBuffer): Handle;
}

type DriverFunctions = Omit<CudaDriver, 'view' | 'addressOf'>;

/** C types of the parameters: `h` a handle or address, `o` a pointer that is written or read, `s` a name. */
const SIGNATURES: Readonly<Record<keyof DriverFunctions, string>> = {
  cuInit: 'u',
  cuDriverGetVersion: 'o',
  cuDeviceGetCount: 'o',
  cuDeviceGet: 'oi',
  cuDeviceGetName: 'oii',
  cuDeviceGetAttribute: 'oii',
  cuDeviceTotalMem_v2: 'oi',
  cuDevicePrimaryCtxRetain: 'oi',
  cuDevicePrimaryCtxRelease_v2: 'i',
  cuCtxSetCurrent: 'h',
  cuMemGetInfo_v2: 'oo',
  cuStreamCreate: 'ou',
  cuStreamDestroy_v2: 'h',
  cuStreamSynchronize: 'h',
  cuStreamBeginCapture_v2: 'hi',
  cuStreamEndCapture: 'ho',
  cuGraphInstantiateWithFlags: 'ohh',
  cuGraphLaunch: 'hh',
  cuGraphExecDestroy: 'h',
  cuGraphDestroy: 'h',
  cuEventCreate: 'ou',
  cuEventRecord: 'hh',
  cuEventQuery: 'h',
  cuEventSynchronize: 'h',
  cuEventElapsedTime_v2: 'ohh',
  cuEventDestroy_v2: 'h',
  cuMemAlloc_v2: 'oh',
  cuMemFree_v2: 'h',
  cuMemAllocHost_v2: 'oh',
  cuMemFreeHost: 'h',
  cuMemcpyHtoDAsync_v2: 'hhhh',
  cuMemcpyDtoHAsync_v2: 'hhhh',
  cuMemcpyDtoDAsync_v2: 'hhhh',
  cuMemsetD8Async: 'huhh',
  cuModuleLoadData: 'oo',
  cuModuleUnload: 'h',
  cuModuleGetFunction: 'ohs',
  cuFuncSetAttribute: 'hii',
  cuLaunchKernelEx: 'ohhh',
};

/** Functions that older drivers know by another name with the same parameters. */
const OLDER_NAMES: Partial<Record<keyof DriverFunctions, string>> = {
  cuEventElapsedTime_v2: 'cuEventElapsedTime',
};

const C_TYPES: Readonly<Record<string, string>> = {
  i: 'int',
  u: 'uint32_t',
  h: 'uint64_t',
  o: 'void *',
  s: 'const char *',
};

/**
 * Loads the driver's library, which comes with NVIDIA's driver; nothing else of CUDA is needed.
 *
 * @throws AutoglmError `cuda-unavailable` without koffi or without an NVIDIA driver
 */
export async function loadCudaDriver(): Promise<CudaDriver> {
  const { default: koffi } = await import('koffi').catch((cause: unknown) => {
    throw new AutoglmError(
      'cuda-unavailable',
      'The npm package "koffi", which calls the driver, could not be loaded.',
      {
        cure: 'Install it with "npm install koffi".',
        cause,
      },
    );
  });
  const file = process.platform === 'win32' ? 'nvcuda.dll' : 'libcuda.so.1';
  const library = openLibrary(() => koffi.load(file), file);
  const find = (name: keyof DriverFunctions): unknown => {
    const parameters = [...SIGNATURES[name]].map((letter) => C_TYPES[letter] as string);
    try {
      return library.func(name, 'int', parameters);
    } catch (cause) {
      const older = OLDER_NAMES[name];
      if (older) return library.func(older, 'int', parameters);
      throw new AutoglmError('cuda-unavailable', `The NVIDIA driver has no function ${name}.`, {
        value: name,
        limit: 'a driver of CUDA 12 or later',
        cure: 'Update the NVIDIA driver.',
        cause,
      });
    }
  };
  const names = Object.keys(SIGNATURES) as (keyof DriverFunctions)[];
  const functions = Object.fromEntries(names.map((name) => [name, find(name)])) as unknown as DriverFunctions;
  return {
    ...functions,
    view: (pointer, byteLength) => koffi.view(pointer, byteLength),
    addressOf: (buffer) => koffi.address(buffer),
  };
}

function openLibrary<Library>(load: () => Library, file: string): Library {
  try {
    return load();
  } catch (cause) {
    throw new AutoglmError(
      'cuda-unavailable',
      `This machine has no NVIDIA driver: ${file} cannot be loaded.`,
      {
        value: file,
        cure: "Install NVIDIA's driver, or use --device webgpu.",
        cause,
      },
    );
  }
}
