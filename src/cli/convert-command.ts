import { availableParallelism } from 'node:os';
import { Option, type Command } from 'commander';
import {
  QUANTIZATIONS,
  SCALE_RULES,
  VISION_QUANTIZATIONS,
  type Quantization,
  type ScaleRule,
  type VisionQuantization,
} from '../model/quantization.ts';
import { convertCheckpoint } from './convert.ts';
import { parseCount } from './option-values.ts';
import { formatBytes, ProgressLine, type Terminal } from './terminal.ts';

interface ConvertFlags {
  readonly quant: Quantization;
  readonly scale: ScaleRule;
  readonly quantVision: VisionQuantization;
  readonly threads: number;
  readonly json?: boolean;
}

/** Adds `autoglm convert`. */
export function addConvertCommand(program: Command, terminal: Terminal): void {
  program
    .command('convert')
    .description('Convert a Hugging Face checkpoint to a model folder.')
    .argument('<hf-folder>', 'config.json and *.safetensors (bf16, f16 or f32)')
    .argument('<out-folder>', 'new or empty folder')
    .addOption(
      new Option('--quant <format>', 'weights of the decoder').choices(QUANTIZATIONS).default('q4f16_1'),
    )
    .addOption(
      new Option('--scale <rule>', 'scale of a group: of least squared error, or as MLC takes it')
        .choices(SCALE_RULES)
        .default('search'),
    )
    .addOption(
      new Option('--quant-vision <format>', 'linears of the vision tower; default: f16, or f32 in q0f32')
        .choices(VISION_QUANTIZATIONS)
        .default('default'),
    )
    .addOption(
      new Option('--threads <count>', 'worker threads; 0: none')
        .default(availableParallelism())
        .argParser(parseCount),
    )
    .option('--json', 'print the figures as JSON')
    .action((source: string, target: string, flags: ConvertFlags) =>
      runConvert(source, target, flags, terminal),
    );
}

async function runConvert(
  source: string,
  target: string,
  flags: ConvertFlags,
  terminal: Terminal,
): Promise<void> {
  const line = new ProgressLine(terminal);
  const result = await convertCheckpoint({
    source,
    target,
    quantization: flags.quant,
    scaleRule: flags.scale,
    visionQuantization: flags.quantVision,
    threads: flags.threads,
    ...(terminal.workerUrl === undefined ? {} : { workerUrl: terminal.workerUrl }),
    signal: terminal.signal,
    onProgress: (done, total, name) =>
      line.update(`${((100 * done) / total).toFixed(1)}% of ${formatBytes(total)}: ${name}`),
  });
  line.end();
  if (flags.json) terminal.stdout(`${JSON.stringify(result)}\n`);
  else {
    const { tensors, sourceBytes, targetBytes, bitsPerParameter, seconds, megabytesPerSecond, peakRssBytes } =
      result;
    terminal.stdout(
      `${target}: ${tensors} tensors, ${formatBytes(sourceBytes)} to ${formatBytes(targetBytes)} ` +
        `(${bitsPerParameter.toFixed(2)} bits a parameter) in ${seconds.toFixed(1)} s, ` +
        `${megabytesPerSecond.toFixed(0)} MB/s, peak memory ${formatBytes(peakRssBytes)}\n`,
    );
  }
}
