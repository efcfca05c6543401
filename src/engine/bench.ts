import type { Device } from '../gpu/device.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { measurePlan } from '../model/plan-cost.ts';
import type { Sequence } from '../model/text-model.ts';
import { encodeSettings } from '../sampling/encode-settings.ts';
import { PLAIN_DEFAULTS } from '../sampling/generation-config.ts';
import { parseSampling } from '../sampling/settings.ts';

/** What to measure. */
export interface BenchOptions {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Sequences decoded together: one row for each. */
  readonly batches: readonly number[];
  /**
   * Decode as if so many tokens were in the cache, without computing them: the cost of attention does not depend on
   * what the cache holds. Prefill is then not measured.
   */
  readonly cachedTokens?: number | undefined;
  /** Runs whose median is reported, after one that is not counted. */
  readonly repeats: number;
}

/** One row of a bench: what `autoglm bench --json` prints. */
export interface BenchRow {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly batch: number;
  readonly timeToFirstTokenMs: number;
  readonly prefillTokensPerSecond: number;
  /** Of all sequences together. */
  readonly decodeTokensPerSecond: number;
  readonly weightBytesPerToken: number;
  /** Weight bytes that a second of decoding reads, in GB. */
  readonly effectiveGBps: number;
  readonly dispatchesPerToken: number;
  /** Time that the host spends on recording and submitting a step. */
  readonly hostMsPerStep: number;
  readonly peakGpuBytes: number;
}

/** Decode steps in flight while measuring; as many as an answer has. */
const STEPS_IN_FLIGHT = 4;

/** Measures prefill and decode; the model needs as many slots as the largest batch. */
export async function benchModel(model: LanguageModel, options: BenchOptions): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const batch of options.batches) rows.push(await benchBatch(model, batch, options));
  return rows;
}

async function benchBatch(model: LanguageModel, batch: number, options: BenchOptions): Promise<BenchRow> {
  const { promptTokens, outputTokens, repeats } = options;
  const runs: Run[] = [];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const run = await measureRun(model, batch, options);
    // The first one compiles and warms up.
    if (repeat > 0) runs.push(run);
  }
  const { dispatches, weightBytes } = measurePlan(model.text.decodePlan(batch));
  const decodeMs = median(runs.map((run) => run.decodeMs));
  const prefillMs = median(runs.map((run) => run.prefillMs));
  const stepsPerSecond = (outputTokens * 1000) / decodeMs;
  return {
    promptTokens,
    outputTokens,
    batch,
    timeToFirstTokenMs: median(runs.map((run) => run.firstTokenMs)),
    prefillTokensPerSecond: (promptTokens * batch * 1000) / prefillMs,
    decodeTokensPerSecond: stepsPerSecond * batch,
    weightBytesPerToken: weightBytes / batch,
    effectiveGBps: (weightBytes * stepsPerSecond) / 1e9,
    dispatchesPerToken: dispatches,
    hostMsPerStep: median(runs.map((run) => run.hostMs)) / outputTokens,
    peakGpuBytes: model.device.allocatedBytes,
  };
}

interface Run {
  readonly prefillMs: number;
  readonly firstTokenMs: number;
  readonly decodeMs: number;
  readonly hostMs: number;
}

async function measureRun(model: LanguageModel, batch: number, options: BenchOptions): Promise<Run> {
  const { promptTokens, outputTokens, cachedTokens } = options;
  const { text, sampler, device } = model;
  const recordDecode = await text.prepareDecode(batch);
  const recordSample = await sampler.prepareSample(batch);
  startSequences(model, batch);
  const startedAt = performance.now();
  if (cachedTokens === undefined) await prefillAll(model, batch, promptTokens);
  const prefilledAt = performance.now();
  for (let slot = 0; slot < batch; slot++) {
    const place = (cachedTokens ?? promptTokens) - 1;
    text.writeDecodeRow(slot, {
      position: [place, place, place],
      token: 0,
      cacheIndex: place,
      slot,
      generated: 0,
    });
  }
  submit(device, [recordSample]);
  await sampler.read(0, 0);
  const firstTokenAt = performance.now();
  const pending: Promise<unknown>[] = [];
  let hostMs = 0;
  for (let step = 1; step <= outputTokens; step++) {
    const submittedAt = performance.now();
    submit(device, [recordDecode, recordSample]);
    hostMs += performance.now() - submittedAt;
    pending.push(sampler.read(0, step));
    if (pending.length >= STEPS_IN_FLIGHT) await pending.shift();
  }
  await Promise.all(pending);
  return {
    prefillMs: prefilledAt - startedAt,
    firstTokenMs: firstTokenAt - startedAt,
    decodeMs: performance.now() - firstTokenAt,
    hostMs,
  };
}

async function prefillAll(model: LanguageModel, batch: number, promptTokens: number): Promise<void> {
  for (let slot = 0; slot < batch; slot++) {
    await model.text.prefill(randomSequence(model, promptTokens, slot), { slot, cachedCount: 0 });
  }
}

function submit(
  device: Device,
  records: readonly ((recorder: ReturnType<Device['createRecorder']>) => void)[],
): void {
  const recorder = device.createRecorder('bench');
  for (const record of records) record(recorder);
  recorder.submit();
}

function startSequences({ sampler, config }: LanguageModel, batch: number): void {
  const { V } = config.text;
  const request = { temperature: 0, seed: 1 };
  const settings = parseSampling(request, { defaults: PLAIN_DEFAULTS, vocabularySize: V });
  for (let slot = 0; slot < batch; slot++) {
    sampler.start(slot, { settings: encodeSettings(settings, { vocabularySize: V }) });
  }
}

/** Ids spread over the vocabulary, so that no embedding row is read twice. */
function randomSequence({ config }: LanguageModel, count: number, seed: number): Sequence {
  const { V } = config.text;
  const tokenIds = Array.from(
    { length: count },
    (_, index) => ((index + 1) * 7919 + seed * 104729) % Math.min(V, 151000),
  );
  const positions = Uint32Array.from({ length: count * 3 }, (_, index) => Math.floor(index / 3));
  return { tokenIds, positions, images: [] };
}

/** Time of encoding one image of so many patches, in milliseconds; median after one run that is not counted. */
export async function benchVision(
  model: LanguageModel,
  { gridRows, gridColumns, repeats }: { gridRows: number; gridColumns: number; repeats: number },
): Promise<number> {
  const { inChannels, patchSize } = model.config.vision;
  const length = gridRows * gridColumns * inChannels * patchSize ** 2;
  const patches = Float32Array.from({ length }, (_, index) => Math.sin(index * 0.37));
  const times: number[] = [];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const startedAt = performance.now();
    const features = await model.vision.encode({ patches, gridRows, gridColumns });
    await model.device.idle();
    times.push(performance.now() - startedAt);
    features.destroy();
  }
  return median(times.slice(1));
}

/** Time of one kind of kernel in a profiled step. */
export interface KernelTime {
  /** Label without the layer's number. */
  readonly kernel: string;
  readonly count: number;
  readonly totalMicroseconds: number;
  /** Weight bytes a second, in GB; 0 for kernels without weights. */
  readonly GBps: number;
  readonly share: number;
}

/** Where a decode step's time goes, kernel by kernel. Each has a pass of its own, so the sum exceeds a real step. */
export async function profileDecode(model: LanguageModel, columns: number): Promise<KernelTime[]> {
  const { text, device } = model;
  const plan = text.decodePlan(columns);
  const record = await text.prepareDecode(columns);
  const recorder = device.createProfilingRecorder('profile');
  record(recorder);
  const times = await recorder.submitAndMeasure();
  const kinds = new Map<string, { count: number; nanoseconds: number; bytes: number }>();
  times.forEach(({ label, nanoseconds }, index) => {
    const kernel = label.replace(/layer\.\d+/, 'layer');
    const kind = kinds.get(kernel) ?? { count: 0, nanoseconds: 0, bytes: 0 };
    kinds.set(kernel, {
      count: kind.count + 1,
      nanoseconds: kind.nanoseconds + nanoseconds,
      bytes: kind.bytes + measurePlan({ ...plan, calls: [plan.calls[index]] }).weightBytes,
    });
  });
  const total = times.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0);
  return [...kinds].map(([kernel, { count, nanoseconds, bytes }]) => ({
    kernel,
    count,
    totalMicroseconds: nanoseconds / 1000,
    GBps: bytes / nanoseconds,
    share: nanoseconds / total,
  }));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
