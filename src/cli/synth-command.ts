import { Option, type Command } from 'commander';
import {
  QUANTIZATIONS,
  VISION_QUANTIZATIONS,
  type Quantization,
  type VisionQuantization,
} from '../model/quantization.ts';
import { parseCount } from './option-values.ts';
import { synthesizeCheckpoint, synthesizeModelFolder } from './synth.ts';
import { formatBytes, ProgressLine, type Terminal } from './terminal.ts';

interface SynthFlags {
  readonly layers: number;
  readonly visionBlocks: number;
  readonly seed: number;
  readonly quant: Quantization;
  readonly quantVision: VisionQuantization;
  readonly hf?: boolean;
  readonly json?: boolean;
}

/** Adds `autoglm synth`. */
export function addSynthCommand(program: Command, terminal: Terminal): void {
  program
    .command('synth')
    .description(
      "Write a model of AutoGLM-Phone-9B's sizes with seeded random weights, for tests and benches.",
    )
    .argument('<out-folder>', 'new or empty folder')
    .addOption(new Option('--layers <count>', 'decoder layers').default(40).argParser(parseCount))
    .addOption(new Option('--vision-blocks <count>', 'vision blocks').default(24).argParser(parseCount))
    .addOption(new Option('--seed <number>', 'of the weights').default(0).argParser(parseCount))
    .addOption(
      new Option('--quant <format>', 'weights of the decoder').choices(QUANTIZATIONS).default('q4f16_1'),
    )
    .addOption(
      new Option('--quant-vision <format>', 'linears of the vision tower')
        .choices(VISION_QUANTIZATIONS)
        .default('default'),
    )
    .option('--hf', 'write a bf16 Hugging Face checkpoint in several files instead, to convert')
    .option('--json', 'print the figures as JSON')
    .action((target: string, flags: SynthFlags) => runSynth(target, flags, terminal));
}

async function runSynth(target: string, flags: SynthFlags, terminal: Terminal): Promise<void> {
  const line = new ProgressLine(terminal);
  const write = flags.hf ? synthesizeCheckpoint : synthesizeModelFolder;
  const result = await write({
    target,
    layers: flags.layers,
    blocks: flags.visionBlocks,
    seed: flags.seed,
    quantization: flags.quant,
    visionQuantization: flags.quantVision,
    signal: terminal.signal,
    onProgress: (done, total) =>
      line.update(`${((100 * done) / total).toFixed(1)}% of ${formatBytes(total)}`),
  });
  line.end();
  const { parameters, bytes, files, seconds } = result;
  terminal.stdout(
    flags.json
      ? `${JSON.stringify(result)}\n`
      : `${target}: ${(parameters / 1e9).toFixed(2)} B parameters, ${formatBytes(bytes)} in ${files} files, ${seconds.toFixed(1)} s\n`,
  );
}
