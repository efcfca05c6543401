import type { Device, Recorder } from '../gpu/device.ts';
import type { BufferRef, KernelCall } from '../kernels/kernel.ts';
import { mergeLogprobs, type LogprobTarget } from '../kernels/merge-logprobs.ts';
import { FAULT_TOKEN } from '../kernels/sampler-prelude.ts';
import { rankingByteLengths, topLogprobs } from '../kernels/top-logprobs.ts';
import type { BufferTable } from './buffer-table.ts';
import type { CompileOptions } from './compile-options.ts';
import type { SampledRows } from './compile-sampler.ts';
import { MAX_COLUMNS, TEXT_BUFFERS } from './text-buffers.ts';
import { PlanBuilder } from './plan.ts';
import { PlanRunner } from './plan-runner.ts';
import type { RankedToken } from './ranked-token.ts';
import { RESULT_RING } from './result-ring.ts';

/** Most tokens that can be ranked at a position. */
export const MAX_RANKED = 20;

/** Ranks the most likely tokens of logits on the device. */
export class LogprobRanker {
  readonly #device: Device;
  readonly #buffers: BufferTable;
  readonly #V: number;
  readonly #options: CompileOptions;
  readonly #runners = new Map<string, PlanRunner>();

  constructor(device: Device, buffers: BufferTable, { V, options }: { V: number; options: CompileOptions }) {
    this.#device = device;
    this.#buffers = buffers;
    this.#V = V;
    this.#options = options;
  }

  /** Records the ranking of a decode step's logits, after the step's tokens were chosen. */
  async prepareStep(
    columns: number,
    K: number,
    rows: SampledRows = TEXT_BUFFERS.decodeRows,
  ): Promise<(recorder: Recorder) => void> {
    const target = { rows: { buffer: rows }, ring: RESULT_RING };
    const runner = await this.#runnerFor(`${rows} x${columns} of ${K}`, columns, K, () => target);
    return (recorder) => runner.record(recorder, {});
  }

  /** Reads the K best tokens at the place of a slot's `index`-th token. */
  async readStep(slot: number, index: number, K: number): Promise<RankedToken[]> {
    const place = slot * RESULT_RING + (index % RESULT_RING);
    return this.#read('ranking.steps', place, K);
  }

  /** Ranks the first `count` rows of the logits of the last head step. */
  async rankRows(count: number, K: number): Promise<RankedToken[][]> {
    const runner = await this.#runnerFor(`rows x${count} of ${K}`, count, K, (builder) => ({
      targets: builder.buffer('ranking.targets', MAX_COLUMNS),
    }));
    this.#device.write(this.#buffers.get('ranking.targets'), 0, new Uint32Array(count).fill(FAULT_TOKEN));
    const recorder = this.#device.createRecorder('rank rows');
    runner.record(recorder, {});
    recorder.submit();
    return Promise.all(Array.from({ length: count }, (_, row) => this.#read('ranking.rows', row, K)));
  }

  async #read(buffer: string, place: number, K: number): Promise<RankedToken[]> {
    const byteLength = (1 + K) * 8;
    const bytes = await this.#device.read(this.#buffers.get(buffer), place * byteLength, byteLength);
    const ids = new Uint32Array(bytes);
    const values = new Float32Array(bytes);
    return Array.from({ length: K }, (_, rank) => ({
      id: ids[2 + rank * 2],
      logprob: values[3 + rank * 2],
    })).filter(({ id }) => id !== FAULT_TOKEN);
  }

  async #runnerFor(
    name: string,
    batch: number,
    K: number,
    createTarget: (builder: PlanBuilder) => LogprobTarget,
  ): Promise<PlanRunner> {
    const known = this.#runners.get(name);
    if (known) return known;
    const builder = new PlanBuilder(`rank ${name}`);
    builder.add(...this.#compile(builder, batch, K, createTarget(builder)));
    const plan = builder.build();
    await this.#buffers.ensureScratch([plan]);
    const runner = await PlanRunner.create(this.#device, plan, this.#buffers);
    this.#runners.set(name, runner);
    return runner;
  }

  #compile(builder: PlanBuilder, batch: number, K: number, target: LogprobTarget): KernelCall[] {
    const V = this.#V;
    const { sampleWorkgroup: workgroup, slots } = this.#options;
    // Sized for the largest ranking at once: Plans that are already bound keep their buffers.
    const bytes = rankingByteLengths({ V, batch: MAX_COLUMNS, K: MAX_RANKED });
    const isStep = 'rows' in target;
    const places = isStep ? slots * RESULT_RING : MAX_COLUMNS;
    const logits: BufferRef = builder.buffer(TEXT_BUFFERS.logits, batch * V);
    const best = builder.buffer('ranking.best', bytes.best / 4);
    const sums = builder.buffer('ranking.sums', bytes.sums / 4);
    const logprobs = builder.buffer(isStep ? 'ranking.steps' : 'ranking.rows', places * (1 + MAX_RANKED) * 2);
    const common = { batch, V, K, workgroup, logits, best, sums };
    return [
      topLogprobs({ ...common, label: 'top-logprobs' }),
      mergeLogprobs({ ...common, label: 'merge-logprobs', target, logprobs }),
    ];
  }
}
