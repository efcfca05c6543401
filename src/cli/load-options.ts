import { Option, type Command } from 'commander';
import type { LocalEngine } from '../engine/local-engine.ts';
import type { NodeOpenOptions } from '../gpu/webgpu-node.ts';
import { openHelperDevice, type DeviceChoice, type OpenedDevice } from '../helper/open-device.ts';
import { modelCacheFolder } from '../helper/user-folders.ts';
import { openHelperEngine } from '../helper/open-engine.ts';
import type { CacheFormat } from '../kernels/kernel.ts';
import { parseCount } from './option-values.ts';
import { formatBytes, ProgressLine, type Terminal } from './terminal.ts';

/** Flags of every command that runs a model. */
export interface LoadFlags {
  readonly device: 'auto' | 'webgpu' | 'cuda';
  readonly context?: number;
  readonly kvFormat?: CacheFormat;
  readonly dawnToggle?: readonly string[];
  readonly withoutFeature?: readonly string[];
}

/** Adds the flags of `LoadFlags` to a command. */
export function addLoadOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--device <device>', 'where to compute').choices(['auto', 'webgpu', 'cuda']).default('auto'),
    )
    .option('--context <tokens>', 'context window', parseCount)
    .addOption(
      new Option('--kv-format <format>', 'number format of the KV cache').choices(['f16', 'f32', 'q8']),
    )
    .option('--dawn-toggle <name...>', 'Dawn toggles that a browser would not set')
    .option('--without-feature <name...>', 'WebGPU features to leave out');
}

/** Loads a model with progress on stderr, which also says where it runs and why; the caller unloads it. */
export async function loadEngine(model: string, flags: LoadFlags, terminal: Terminal): Promise<LocalEngine> {
  const line = new ProgressLine(terminal);
  const { engine, reason } = await openHelperEngine({
    model,
    backend: deviceChoice(flags),
    contextWindow: flags.context,
    cacheFormat: flags.kvFormat,
    device: webGpuOptions(flags),
    cacheFolder: modelCacheFolder(),
    signal: terminal.signal,
    onProgress: ({ phase, loadedBytes, totalBytes }) =>
      line.update(`${phase} ${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`),
  });
  line.end();
  terminal.stderr(`Runs on ${engine.info.adapter}. ${reason}\n`);
  return engine;
}

/** Opens the device that the flags ask for. */
export async function openDevice(flags: LoadFlags): Promise<OpenedDevice> {
  return openHelperDevice({ device: deviceChoice(flags), webgpu: webGpuOptions(flags) });
}

function webGpuOptions({ dawnToggle, withoutFeature }: LoadFlags): NodeOpenOptions {
  return { toggles: dawnToggle ?? [], withoutFeatures: withoutFeature ?? [] };
}

/** Flags that only WebGPU has choose it. */
function deviceChoice({ device, dawnToggle, withoutFeature }: LoadFlags): DeviceChoice {
  return device === 'auto' && (dawnToggle ?? withoutFeature) ? 'webgpu' : device;
}
