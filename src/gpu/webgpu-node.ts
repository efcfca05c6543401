import type * as Dawn from 'webgpu';
import { AutoglmError } from '../base/errors.ts';
import { openWebGpuDevice, type OpenOptions } from './webgpu-adapter.ts';
import type { WebGpuDevice } from './webgpu-device.ts';

/** How to open a device in Node. */
export interface NodeOpenOptions extends Omit<OpenOptions, 'gpu'> {
  /**
   * Dawn toggles that a browser would not set, such as `vulkan_enable_f16_on_nvidia`. Figures measured with
   * them do not hold for a stock browser.
   */
  readonly toggles?: readonly string[];
}

/** Dawn frees its instance when the last reference goes; a device must not outlive it. */
const instances = new Set<GPU>();

/**
 * Opens a WebGPU device in Node through Dawn (npm `webgpu`).
 *
 * @throws AutoglmError `webgpu-unavailable` when the package, a Vulkan/Metal/D3D driver or an adapter is missing.
 */
export async function openNodeDevice(options: NodeOpenOptions = {}): Promise<WebGpuDevice> {
  const { create, globals } = await importDawn();
  Object.assign(globalThis, globals);
  const toggles = options.toggles ?? [];
  // Times are rounded to 65 us for pages; outside of one nobody is protected by that.
  const features = ['disable-dawn-features=timestamp_quantization'];
  if (toggles.length > 0) features.push(`enable-dawn-features=${toggles.join(',')}`);
  const gpu = create(features) as GPU;
  instances.add(gpu);
  const device = await openWebGpuDevice({ ...options, gpu });
  device.onDestroy(() => instances.delete(gpu));
  return device;
}

async function importDawn(): Promise<typeof Dawn> {
  try {
    return await import('webgpu');
  } catch (cause) {
    throw new AutoglmError('webgpu-unavailable', 'The npm package "webgpu" (Dawn) could not be loaded.', {
      cure: 'Install it with "npm install webgpu".',
      cause,
    });
  }
}
