import type { Command } from 'commander';
import {
  benchContext,
  createBenchReport,
  describeReport,
  type BenchRequest,
} from '../engine/bench-report.ts';
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
  readonly cachedTokens: readonly number[];
  readonly copyBandwidth?: number;
  readonly layers?: number;
  readonly vision?: boolean;
  readonly profile?: boolean;
  readonly json?: boolean;
}

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
    .option(
      '--cached-tokens <n,..>',
      'decode behind so many tokens as well, without computing them',
      parseCounts,
      [],
    )
    .option('--copy-bandwidth <GB/s>', 'what the card copies, read plus written, to compare with', Number)
    .option('--layers <n>', `decoder layers of ${SYNTHETIC_9B}; 40`, parseCount)
    .option('--vision', 'encode a 1080x2400 screenshot and take two steps of an agent as well')
    .option('--profile', 'time each kernel of a decode step')
    .option('--json', 'print one JSON object');
  addLoadOptions(command).action(async (name: string, flags: BenchFlags) => {
    const request: BenchRequest = {
      ...flags,
      model: name,
      batches: flags.batch,
      vision: flags.vision ?? false,
      profile: flags.profile ?? false,
    };
    const startedAt = performance.now();
    const model = await load(request, flags, terminal);
    const report = await createBenchReport(model, request, { loadMs: performance.now() - startedAt });
    const toggles = flags.dawnToggle ?? [];
    terminal.stdout(flags.json ? `${JSON.stringify({ toggles, ...report })}\n` : describeReport(report));
    model.device.destroy();
  });
}

async function load(request: BenchRequest, flags: BenchFlags, terminal: Terminal): Promise<LanguageModel> {
  const { model: name, batches } = request;
  const context = flags.context ?? benchContext(request);
  const slots = Math.max(...batches);
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
