import type { LocalEngine } from '../engine/local-engine.ts';
import { openNodeEngine, type NodeEngineOptions } from '../engine/open-node-engine.ts';
import { openHelperDevice, type DeviceChoice, type OpenedDevice } from './open-device.ts';

/** How to load a model in the helper; as in Node, with a choice of backend. */
export interface HelperEngineOptions extends NodeEngineOptions {
  /** Default `auto`. */
  readonly backend?: DeviceChoice | undefined;
}

/** An engine with the backend that it runs on. */
export interface HelperEngine extends Omit<OpenedDevice, 'device'> {
  readonly engine: LocalEngine;
}

/** Opens the best device of the machine and loads a model on it. @throws as `openHelperDevice` and `LocalEngine.load` do */
export async function openHelperEngine(options: HelperEngineOptions): Promise<HelperEngine> {
  const { backend: choice, ...rest } = options;
  const { device, backend, reason } = await openHelperDevice({ device: choice, webgpu: options.device });
  return { engine: await openNodeEngine({ ...rest, openDevice: async () => device }), backend, reason };
}
