import type { NodeOpenOptions } from '../gpu/webgpu-node.ts';
import type { Device } from '../gpu/device.ts';
import { openCudaDevice } from './open-cuda.ts';

/** Stands in for `openNodeDevice`, so that tests written for Dawn run on CUDA; its options are WebGPU's alone. */
export async function openNodeDevice(_options: NodeOpenOptions = {}): Promise<Device> {
  return openCudaDevice();
}
