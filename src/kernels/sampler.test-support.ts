import type { Device, DeviceBuffer, Grid } from '../gpu/device.ts';
import { encodeSettings } from '../sampling/encode-settings.ts';
import type { SamplerSettings } from '../sampling/settings.ts';
import { adjustLogits } from './adjust-logits.ts';
import type { KernelCall } from './kernel.ts';
import { ref } from './parity.test-support.ts';
import { sampleToken } from './sample-token.ts';
import { samplerByteLengths } from './sampler-prelude.ts';

/** Everything off: plain sampling at temperature 1. */
export const PLAIN: SamplerSettings = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
  seed: 1,
  logitBias: new Map(),
  logprobs: false,
  topLogprobs: 0,
};

/** One sequence of a test: its settings and the inputs of its row; all [V]. */
export interface TestSequence {
  readonly settings: SamplerSettings;
  readonly logits: Float32Array;
  readonly counts?: Uint32Array;
  readonly bias?: Float32Array;
  readonly mask?: Uint32Array;
}

/** What a run leaves behind. */
export interface SamplerRun {
  /** Per sequence, the tokens of all steps and their log-probabilities. */
  readonly tokens: number[][];
  readonly logprobs: number[][];
  /** [batch, V] */
  readonly adjusted: Float32Array;
  /** [batch, 8]: words of `Row` */
  readonly rows: Uint32Array;
  /** [batch, V] */
  readonly counts: Uint32Array;
}

interface RunOptions {
  readonly V: number;
  readonly steps?: number;
  readonly ring?: number;
  readonly vocabularySize?: number;
  readonly workgroup?: number;
}

/** Words of `Row` before the first step; the slot is the sequence's place counted from the end, to tell them apart. */
function firstRows(batch: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: batch * 8 }, (_, word) => {
    const row = Math.floor(word / 8);
    return [10 + row, 20, 30, 0, 40 + row, batch - 1 - row, 0, 0][word % 8]!;
  });
}

/** Samples `steps` tokens for each sequence from the same logits at every step. */
export async function runSampler(
  device: Device,
  sequences: readonly TestSequence[],
  { V, steps = 1, ring = steps, vocabularySize = V, workgroup = 64 }: RunOptions,
): Promise<SamplerRun> {
  const batch = sequences.length;
  const lengths = {
    ...samplerByteLengths({ V, batch, slots: batch, ring }),
    logits: batch * V * 4,
    rows: batch * 32,
  };
  const buffers: Record<string, DeviceBuffer> = {};
  for (const [label, byteLength] of Object.entries(lengths)) {
    buffers[label] = await device.createBuffer({ label, byteLength, usage: 'storage' });
  }
  device.write(buffers['rows']!, 0, firstRows(batch));
  sequences.forEach(({ settings, logits, counts, bias, mask }, row) => {
    const slot = batch - 1 - row;
    const write = (name: string, index: number, data: ArrayBufferView): void =>
      device.write(buffers[name]!, index * data.byteLength, data as ArrayBufferView<ArrayBuffer>);
    write('settings', slot, encodeSettings(settings, { vocabularySize, hasMask: mask !== undefined }));
    write('logits', row, logits);
    if (counts) write('counts', slot, counts);
    if (bias) write('bias', slot, bias);
    if (mask) write('mask', slot, mask);
  });

  const refs = Object.fromEntries(Object.keys(lengths).map((name) => [name, ref(name)]));
  const options = { label: 'test', batch, V, ring, workgroup, ...refs };
  const calls = [adjustLogits(options as never), sampleToken(options as never)];
  const sets = await Promise.all(calls.map((call) => bind(device, call, buffers)));
  const recorder = device.createRecorder('sampler');
  for (let step = 0; step < steps; step++) {
    calls.forEach((call, index) => recorder.dispatch(sets[index]!, call.grid as Grid));
  }
  recorder.submit();

  const read = async (name: string): Promise<ArrayBuffer> =>
    device.read(buffers[name]!, 0, buffers[name]!.byteLength);
  const results = await read('results');
  const run = {
    adjusted: new Float32Array(await read('adjusted')),
    rows: new Uint32Array(await read('rows')),
    counts: new Uint32Array(await read('counts')),
  };
  for (const buffer of Object.values(buffers)) buffer.destroy();
  const words = new Uint32Array(results);
  const floats = new Float32Array(results);
  const perSequence = <T>(pick: (index: number) => T): T[][] =>
    [...sequences.keys()].map((row) =>
      Array.from({ length: ring }, (_, i) => pick(((batch - 1 - row) * ring + i) * 2)),
    );
  return {
    ...run,
    tokens: perSequence((index) => words[index]!),
    logprobs: perSequence((index) => floats[index + 1]!),
  };
}

async function bind(device: Device, call: KernelCall, buffers: Readonly<Record<string, DeviceBuffer>>) {
  const program = await device.createProgram(call.program);
  const ranges = Object.entries(call.bindings).map(([name, { buffer }]) => [
    name,
    { buffer: buffers[buffer]! },
  ]);
  return device.createBindingSet(program, Object.fromEntries(ranges));
}

/** The two words of a seed as the shader sees them. */
export function seedWords(seed: number): [number, number] {
  const words = BigInt.asUintN(64, BigInt(seed));
  return [Number(words & 0xffffffffn), Number(words >> 32n)];
}
