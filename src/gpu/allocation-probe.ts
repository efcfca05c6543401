import { isAutoglmError } from '../base/errors.ts';
import type { BufferDescriptor, Device, DeviceBuffer } from './device.ts';

/** Whether a set of buffers found room on a device. */
export interface AllocationProof {
  readonly fits: boolean;
  /** Bytes that were allocated together: all of them, or those before the one that was refused. */
  readonly allocatedBytes: number;
  /** Bytes of the buffer that was refused; 0 when none was. */
  readonly refusedBytes: number;
}

/**
 * Allocates all buffers together, touches them, and frees them again: no page can ask how much memory a GPU has
 * left, and a driver may promise memory that it does not have until somebody writes to it.
 *
 * @throws AutoglmError `limit-exceeded`, `device-lost`; never `out-of-memory`
 */
export async function probeAllocation(
  device: Device,
  descriptors: Iterable<BufferDescriptor>,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<AllocationProof> {
  const buffers: DeviceBuffer[] = [];
  let allocatedBytes = 0;
  let askedBytes = 0;
  try {
    for (const descriptor of descriptors) {
      signal?.throwIfAborted();
      askedBytes = descriptor.byteLength;
      buffers.push(await device.createBuffer(descriptor));
      allocatedBytes += descriptor.byteLength;
    }
    // A software adapter's memory is the machine's own: writing to all of it takes seconds and proves nothing.
    if (!device.capabilities.isSoftware) await touch(device, buffers);
    return { fits: true, allocatedBytes, refusedBytes: 0 };
  } catch (error) {
    if (!isAutoglmError(error, 'out-of-memory')) throw error;
    return { fits: false, allocatedBytes, refusedBytes: askedBytes };
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}

async function touch(device: Device, buffers: readonly DeviceBuffer[]): Promise<void> {
  const recorder = device.createRecorder('touch planned buffers');
  for (const buffer of buffers) recorder.clear(buffer);
  recorder.submit();
  await device.idle();
}
