import { Option, type Command } from 'commander';
import { AutoglmError } from '../base/errors.ts';
import { openNodeEngine } from '../engine/open-node-engine.ts';
import type { LocalEngine } from '../engine/local-engine.ts';
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

/** Loads a model with progress on stderr; the caller unloads it. */
export async function loadEngine(model: string, flags: LoadFlags, terminal: Terminal): Promise<LocalEngine> {
  if (flags.device === 'cuda') {
    throw new AutoglmError('usage', 'Cannot compute with CUDA: this version has no helper yet.', {
      value: 'cuda',
      limit: 'auto or webgpu',
      cure: 'Leave --device out.',
    });
  }
  const line = new ProgressLine(terminal);
  const engine = await openNodeEngine({
    model,
    contextWindow: flags.context,
    cacheFormat: flags.kvFormat,
    device: { toggles: flags.dawnToggle ?? [], withoutFeatures: flags.withoutFeature ?? [] },
    signal: terminal.signal,
    onProgress: ({ phase, loadedBytes, totalBytes }) =>
      line.update(`${phase} ${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`),
  });
  line.end();
  return engine;
}
