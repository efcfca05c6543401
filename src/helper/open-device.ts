import { AutoglmError } from '../base/errors.ts';
import type { Device } from '../gpu/device.ts';
import { openNodeDevice, type NodeOpenOptions } from '../gpu/webgpu-node.ts';
import { openCudaDevice } from './open-cuda.ts';

/** Where the user wants to compute. */
export type DeviceChoice = 'auto' | 'cuda' | 'webgpu';

/** How to open the helper's device. */
export interface OpenHelperDeviceOptions {
  /** Default `auto`: CUDA where it works, else WebGPU through Dawn. */
  readonly device?: DeviceChoice | undefined;
  /** For the WebGPU backend. */
  readonly webgpu?: NodeOpenOptions | undefined;
}

/** A device, which backend it belongs to, and why that one: a sentence for the terminal and the element. */
export interface OpenedDevice {
  readonly device: Device;
  readonly backend: 'cuda' | 'webgpu';
  readonly reason: string;
}

/**
 * Opens the device that the helper computes on.
 *
 * @throws AutoglmError `cuda-unavailable` when CUDA is asked for and does not work here; `webgpu-unavailable`
 */
export async function openHelperDevice(options: OpenHelperDeviceOptions = {}): Promise<OpenedDevice> {
  const { device: choice = 'auto', webgpu } = options;
  if (choice === 'webgpu') return openWebGpu(webgpu, 'WebGPU was asked for.');
  try {
    return await openCuda(choice);
  } catch (error) {
    if (choice === 'cuda' || !(error instanceof AutoglmError)) throw error;
    return openWebGpu(webgpu, `CUDA cannot be used: ${error.message}`);
  }
}

async function openCuda(choice: DeviceChoice): Promise<OpenedDevice> {
  const device = await openCudaDevice();
  const reason =
    choice === 'cuda' ? 'CUDA was asked for.' : `CUDA runs on ${device.capabilities.adapter.device}.`;
  return { device, backend: 'cuda', reason };
}

async function openWebGpu(options: NodeOpenOptions | undefined, reason: string): Promise<OpenedDevice> {
  return { device: await openNodeDevice(options), backend: 'webgpu', reason };
}
