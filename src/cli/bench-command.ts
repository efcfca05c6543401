import type { Command } from 'commander';
import { benchModel, benchVision, profileDecode, type BenchRow, type KernelTime } from '../engine/bench.ts';
import { describeAdapter } from '../gpu/capabilities.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { createSyntheticModel, SYNTHETIC_9B } from '../model/synthetic-model.ts';
import { openNodeEngine } from '../engine/open-node-engine.ts';
import { addLoadOptions, openDevice, type LoadFlags } from './load-options.ts';
import { parseCount, parseCounts } from './option-values.ts';
import type { Terminal } from './terminal.ts';

interface BenchFlags extends LoadFlags {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly batch: readonly number[];
  readonly repeats: number;
  readonly cachedTokens?: number;
  readonly layers?: number;
  readonly vision?: boolean;
  readonly profile?: boolean;
  readonly json?: boolean;
}

interface BenchReport {
  readonly device: 'webgpu' | 'cuda';
  readonly adapter: string;
  readonly toggles: readonly string[];
  readonly model: string;
  readonly loadMs: number;
  readonly rows: readonly BenchRow[];
  /** Encoding one 1080x2400 screenshot at max_pixels 5,000,000. */
  readonly screenshotMs?: number;
  readonly profile?: readonly KernelTime[];
}

/** Patch grid of a 1080x2400 screenshot at max_pixels 5,000,000. */
const SCREENSHOT = { gridRows: 168, gridColumns: 74 };

/** Adds `autoglm bench`. */
export function addBenchCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command('bench')
    .description('Measure speed: prefill, decode, vision.')
    .argument('<model>', `model folder or URL, or ${SYNTHETIC_9B}: made-up weights of the real shapes`)
    .option('--prompt-tokens <n>', 'tokens of the prompt', parseCount, 512)
    .option('--output-tokens <n>', 'tokens of the answer', parseCount, 256)
    .option('--batch <n,..>', 'sequences decoded together', parseCounts, [1])
    .option('--repeats <n>', 'runs whose median counts', parseCount, 3)
    .option('--cached-tokens <n>', 'decode behind so many tokens without computing them', parseCount)
    .option('--layers <n>', `decoder layers of ${SYNTHETIC_9B}; 40`, parseCount)
    .option('--vision', 'encode a 1080x2400 screenshot as well')
    .option('--profile', 'time each kernel of a decode step')
    .option('--json', 'print one JSON object');
  addLoadOptions(command).action(async (name: string, flags: BenchFlags) => {
    const startedAt = performance.now();
    const model = await load(name, flags, terminal);
    const loadMs = performance.now() - startedAt;
    const { promptTokens, outputTokens, batch: batches, repeats, cachedTokens } = flags;
    const report: BenchReport = {
      device: model.device.capabilities.cuda ? 'cuda' : 'webgpu',
      adapter: describeAdapter(model.device.capabilities),
      toggles: flags.dawnToggle ?? [],
      model: name,
      loadMs,
      rows: await benchModel(model, { promptTokens, outputTokens, batches, repeats, cachedTokens }),
      ...(flags.vision && { screenshotMs: await benchVision(model, { ...SCREENSHOT, repeats }) }),
      ...(flags.profile && { profile: await profileDecode(model, batches[0] ?? 1) }),
    };
    terminal.stdout(flags.json ? `${JSON.stringify(report)}\n` : describe(report));
    model.device.destroy();
  });
}

async function load(name: string, flags: BenchFlags, terminal: Terminal): Promise<LanguageModel> {
  const context = flags.context ?? (flags.cachedTokens ?? flags.promptTokens) + flags.outputTokens + 1;
  const slots = Math.max(...flags.batch);
  const { device } = await openDevice(flags);
  if (name !== SYNTHETIC_9B) {
    const { signal } = terminal;
    const options = { model: name, contextWindow: context, slots, openDevice: async () => device, signal };
    return (await openNodeEngine(options)).model;
  }
  const { layers, kvFormat } = flags;
  return createSyntheticModel(device, {
    context,
    slots,
    ...(layers !== undefined && { layers }),
    ...(kvFormat && { cacheFormat: kvFormat }),
  });
}

function describe({ adapter, model, loadMs, rows, screenshotMs, profile }: BenchReport): string {
  const lines = [
    `${model} on ${adapter}, loaded in ${(loadMs / 1000).toFixed(1)} s`,
    ...rows.map(
      (row) =>
        `batch ${row.batch}: ${row.decodeTokensPerSecond.toFixed(1)} tok/s decode, ` +
        `${row.effectiveGBps.toFixed(0)} GB/s, ${row.dispatchesPerToken} dispatches in ${row.hostMsPerStep.toFixed(2)} host ms a step, ` +
        `${row.prefillTokensPerSecond.toFixed(0)} tok/s prefill of ${row.promptTokens}, ` +
        `first token after ${row.timeToFirstTokenMs.toFixed(0)} ms`,
    ),
    ...(screenshotMs === undefined ? [] : [`screenshot: ${screenshotMs.toFixed(0)} ms`]),
    ...(profile ?? []).map(
      ({ kernel, count, totalMicroseconds, GBps, share }) =>
        `${kernel.padEnd(28)} x${String(count).padEnd(4)} ${totalMicroseconds.toFixed(1).padStart(10)} us ` +
        `${GBps.toFixed(0).padStart(6)} GB/s ${(share * 100).toFixed(1).padStart(5)}%`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}
