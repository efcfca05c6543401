import type { Command } from 'commander';
import { describeFitStep } from '../model/model-fit.ts';
import { inspectModel, type ModelSummary, type PlanSummary } from './inspect.ts';
import { parseCount, parseGigabytes } from './option-values.ts';
import { formatBytes, type Terminal } from './terminal.ts';

interface InspectFlags {
  readonly json?: boolean;
  readonly context?: number;
  readonly memory?: number;
}

/** Adds `autoglm inspect`. */
export function addInspectCommand(program: Command, terminal: Terminal): void {
  program
    .command('inspect')
    .description('Show what a model folder holds.')
    .argument('<model>', 'model folder')
    .option('--context <tokens>', 'context window of the memory plan', parseCount)
    .option('--memory <GB>', 'plan for a GPU with so much memory', parseGigabytes)
    .option('--json', 'print it as JSON')
    .action(async (model: string, flags: InspectFlags) => {
      const { context, memory } = flags;
      const summary = await inspectModel(model, { context, memoryBudget: memory && memory * 1e9 });
      terminal.stdout(flags.json ? `${JSON.stringify(summary)}\n` : describe(summary));
    });
}

function describe(summary: ModelSummary): string {
  const { text, vision, formats } = summary;
  const lines = [
    `${summary.model}: ${summary.architecture}, ${summary.quantization ?? 'quantisation not stated'}`,
    `text    ${text.L} layers of ${text.C}, ${text.H} heads of ${text.D}, ${text.KV} key/value heads, MLP ${text.F}, vocabulary ${text.V}, ${text.maxPositionEmbeddings} positions`,
    `vision  ${vision.L} blocks of ${vision.C}, ${vision.H} heads of ${vision.D}, MLP ${vision.F}, merger ${vision.mergerF}`,
    `weights ${(summary.parameters / 1e6).toFixed(1)} M parameters, ${formatBytes(summary.bytes)}, ${summary.bitsPerParameter.toFixed(2)} bits each`,
    ...formats.map(
      (one) =>
        `        ${one.format.padEnd(4)} ${String(one.tensors).padStart(5)} tensors ${(one.parameters / 1e6).toFixed(1).padStart(9)} M ${formatBytes(one.bytes).padStart(9)}`,
    ),
    ...describePlan(summary.plan),
    `shards  ${summary.shards}, the largest ${formatBytes(summary.largestShardBytes)}, sha256 ${summary.hashed ? 'of each' : 'missing'}`,
  ];
  return `${lines.join('\n')}\n`;
}

function describePlan(plan: PlanSummary): string[] {
  const { context, memory, cacheFormat, visionFormat, steps, decode, prefill, prefillChunk } = plan;
  const atOneTerabyte = decode.weightBytes / 1e9;
  return [
    `memory  ${formatBytes(memory.totalBytes)} at a context of ${context} with a 1080x2400 screenshot: weights ${formatBytes(memory.weightBytes)}, KV cache ${formatBytes(memory.cacheBytes)}, work space ${formatBytes(memory.scratchBytes)}, vision ${formatBytes(memory.visionBytes)}; largest buffer ${formatBytes(memory.largestBufferBytes)}`,
    `        vision tower in ${visionFormat}, KV cache in ${cacheFormat}`,
    ...steps.map((step) => `        to fit: ${describeFitStep(step)}`),
    `decode  ${decode.dispatches} dispatches and ${formatBytes(decode.weightBytes)} of weights a token: ${atOneTerabyte.toFixed(2)} ms at 1 TB/s`,
    `prefill ${prefill.dispatches} dispatches for each ${prefillChunk} tokens`,
  ];
}
