import { AutoglmError } from '../base/errors.ts';

/** Results of the driver that the backend tells apart. */
export const CUDA_SUCCESS = 0;
export const CUDA_OUT_OF_MEMORY = 2;
export const CUDA_NO_DEVICE = 100;
export const CUDA_INVALID_IMAGE = 200;
export const CUDA_NO_BINARY_FOR_GPU = 209;
export const CUDA_INVALID_PTX = 218;
export const CUDA_UNSUPPORTED_PTX_VERSION = 222;
export const CUDA_NOT_READY = 600;

const NAMES: Readonly<Record<number, string>> = {
  1: 'invalid value',
  2: 'out of memory',
  3: 'not initialised',
  4: 'the driver is shutting down',
  100: 'no device',
  101: 'invalid device',
  200: 'invalid image',
  201: 'invalid context',
  209: 'no kernel image for this GPU',
  214: 'an uncorrectable error of the memory',
  218: 'invalid PTX',
  222: 'PTX of a newer CUDA than the driver knows',
  304: 'error of the operating system',
  400: 'invalid handle',
  500: 'not found',
  700: 'illegal address in a kernel',
  701: 'a kernel asks for too many resources',
  702: 'a kernel ran too long',
  709: 'a destroyed context',
  710: 'an assertion in a kernel',
  714: 'an error of the stack in a kernel',
  715: 'an illegal instruction in a kernel',
  716: 'misaligned address in a kernel',
  717: 'an address of another space in a kernel',
  718: 'an invalid program counter in a kernel',
  719: 'a kernel failed',
  720: 'too many co-operating blocks',
  802: 'the GPUs are not ready',
  803: 'driver and kernel module differ',
  804: 'forward compatibility is not supported on this GPU',
  900: 'not allowed while a stream is captured',
  901: 'an invalidated capture',
};

/** A result in words, such as `no kernel image for this GPU (209)`. */
export function describeResult(result: number): string {
  return `${NAMES[result] ?? 'error'} (${result})`;
}

/**
 * Faults after which a context is of no use any more: the driver shuts down, the context or the memory is broken, or a
 * kernel failed. Others of the same hundred refuse one launch alone, such as 701 and 720.
 */
const FATAL: ReadonlySet<number> = new Set([
  4, 201, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999,
]);

/** True for faults after which a context is of no use any more. */
export function isFatal(result: number): boolean {
  return FATAL.has(result);
}

/** Throws unless `result` is success. `action` completes the sentence "Cannot ...". */
export function requireSuccess(result: number, action: string): void {
  if (result === CUDA_SUCCESS) return;
  throw cudaError(result, action);
}

/** The error of a failed call of the driver. */
export function cudaError(result: number, action: string): AutoglmError {
  return new AutoglmError(
    isFatal(result) ? 'device-lost' : 'gpu-validation',
    `Cannot ${action}: ${describeResult(result)}.`,
    { value: result, ...(isFatal(result) && { cure: 'Load the model again.' }) },
  );
}
