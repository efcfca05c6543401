import type { DecodeReach } from '../model/compile-options.ts';
import type { Recorder } from '../gpu/device.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { measurePlan } from '../model/plan-cost.ts';
import { StepDepth } from '../model/step-depth.ts';
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
  /** Tokens that were in the cache without being computed; absent: the prompt was prefilled. */
  readonly cachedTokens?: number;
  readonly timeToFirstTokenMs: number;
  /** The same in the run that is not counted: what compiling the pipelines of the batch adds for a fresh page. */
  readonly firstRunTimeToFirstTokenMs: number;
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
  /** JavaScript memory in use after the runs; absent where the platform does not tell. */
  readonly peakHeapBytes?: number;
}

/** Measures prefill and decode; the model needs as many slots as the largest batch. */
export async function benchModel(model: LanguageModel, options: BenchOptions): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const batch of options.batches) rows.push(await benchBatch(model, batch, options));
  return rows;
}

async function benchBatch(model: LanguageModel, batch: number, options: BenchOptions): Promise<BenchRow> {
  const { promptTokens, outputTokens, repeats } = options;
  // As an answer's: the run that is not counted compiles, warms up and finds how many steps to keep under way.
  const depth = new StepDepth();
  const warmUp = await measureRun(model, batch, options, depth);
  const runs: Run[] = [];
  let peakHeapBytes = readHeapBytes();
  for (let repeat = 0; repeat < repeats; repeat++) {
    runs.push(await measureRun(model, batch, options, depth));
    peakHeapBytes = maximum(peakHeapBytes, readHeapBytes());
  }
  const reach = reachFor(model, batch, options);
  const { dispatches, weightBytes } = measurePlan(model.text.decodePlan(batch, reach));
  const decodeMs = median(runs.map((run) => run.decodeMs));
  const prefillMs = median(runs.map((run) => run.prefillMs));
  const stepsPerSecond = (outputTokens * 1000) / decodeMs;
  return {
    promptTokens,
    outputTokens,
    batch,
    ...(options.cachedTokens !== undefined && { cachedTokens: options.cachedTokens }),
    firstRunTimeToFirstTokenMs: warmUp.compileMs + warmUp.firstTokenMs,
    timeToFirstTokenMs: median(runs.map((run) => run.firstTokenMs)),
    prefillTokensPerSecond: (promptTokens * batch * 1000) / prefillMs,
    decodeTokensPerSecond: stepsPerSecond * batch,
    weightBytesPerToken: weightBytes / batch,
    effectiveGBps: (weightBytes * stepsPerSecond) / 1e9,
    dispatchesPerToken: dispatches,
    hostMsPerStep: median(runs.map((run) => run.hostMs)) / outputTokens,
    peakGpuBytes: model.device.allocatedBytes,
    ...(peakHeapBytes !== undefined && { peakHeapBytes }),
  };
}

interface Run {
  readonly compileMs: number;
  readonly prefillMs: number;
  readonly firstTokenMs: number;
  readonly decodeMs: number;
  readonly hostMs: number;
}

async function measureRun(
  model: LanguageModel,
  batch: number,
  options: BenchOptions,
  depth: StepDepth,
): Promise<Run> {
  const { promptTokens, outputTokens, cachedTokens } = options;
  const { text, sampler, device } = model;
  const preparedAt = performance.now();
  const recordDecode = await text.prepareDecode(batch, reachFor(model, batch, options));
  const recordSample = await sampler.prepareSample(batch);
  startSequences(model, batch);
  const startedAt = performance.now();
  if (cachedTokens === undefined) await prefillAll(model, batch, promptTokens);
  const prefilledAt = performance.now();
  await chooseFirst(model, recordSample, { batch, place: (cachedTokens ?? promptTokens) - 1 });
  const firstTokenAt = performance.now();
  const pending: Promise<unknown>[] = [];
  let hostMs = 0;
  for (let step = 1; step <= outputTokens; step++) {
    const submittedAt = performance.now();
    const recorder = device.createRecorder('bench');
    recordDecode(recorder);
    recordSample(recorder);
    const results = sampler.submitAndRead(recorder);
    hostMs += performance.now() - submittedAt;
    pending.push(results.then((found) => found.token(0, step)));
    while (pending.length >= depth.most) {
      await pending.shift();
      depth.note(performance.now());
    }
  }
  depth.interrupt();
  await Promise.all(pending);
  return {
    compileMs: startedAt - preparedAt,
    prefillMs: prefilledAt - startedAt,
    firstTokenMs: firstTokenAt - startedAt,
    decodeMs: performance.now() - firstTokenAt,
    hostMs,
  };
}

function reachFor(model: LanguageModel, batch: number, options: BenchOptions): DecodeReach {
  return model.text.reachFor(batch, options.cachedTokens ?? options.promptTokens);
}

/** Chooses the first token of each sequence from the logits that are there, and reads one. */
async function chooseFirst(
  { device, sampler, text }: LanguageModel,
  recordSample: (recorder: Recorder) => void,
  { batch, place }: { batch: number; place: number },
): Promise<void> {
  for (let slot = 0; slot < batch; slot++) {
    const position = [place, place, place] as const;
    text.writeDecodeRow(slot, { position, token: 0, cacheIndex: place, slot, generated: 0 });
  }
  const recorder = device.createRecorder('bench');
  recordSample(recorder);
  (await sampler.submitAndRead(recorder)).token(0, 0);
}

async function prefillAll(model: LanguageModel, batch: number, promptTokens: number): Promise<void> {
  for (let slot = 0; slot < batch; slot++) {
    await model.text.prefill(randomSequence(model, promptTokens, slot), { slot, cachedCount: 0 });
  }
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
  const image = createImage(model, { gridRows, gridColumns });
  const times: number[] = [];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const startedAt = performance.now();
    const features = await model.vision.encode(image);
    await model.device.idle();
    times.push(performance.now() - startedAt);
    features.destroy();
  }
  return median(times.slice(1));
}

/** How long a screenshot and a step of an agent take to their first token, in milliseconds; medians. */
export interface AgentTimes {
  /** Encoding a 1080x2400 screenshot at max_pixels 5,000,000 and prefilling it with a short question. */
  readonly screenshotToFirstTokenMs: number;
  /** The same behind the model's own system message. */
  readonly firstStepMs: number;
  /**
   * A new screenshot behind that conversation as the agent keeps it: without the first screenshot, so that of the first
   * step only the system message is still in the cache, and its texts are computed again once the screenshot is there.
   */
  readonly secondStepMs: number;
  /** Computing those texts before, while the phone acts, as the agent does: `Engine.prefill`. */
  readonly prefillAheadMs: number;
  readonly prefillAheadTokens: number;
  /** The second step behind it, from the arrival of the screenshot. */
  readonly secondStepAfterPrefillMs: number;
}

/** Patch grid of a 1080x2400 screenshot at max_pixels 5,000,000, and its tokens. */
export const SCREENSHOT = { gridRows: 168, gridColumns: 74, tokens: 3108 } as const;

/** Tokens of `benchAgent`'s conversation: the model's own system message, a turn's marks, its texts and an answer. */
const SYSTEM_TOKENS = 1734;
const TURN_TOKENS = 6;
const QUESTION_TOKENS = 34;
const ANSWER_TOKENS = 133;

/** Tokens that the first step leaves in the cache for the second. */
const SHARED_TOKENS = SYSTEM_TOKENS + TURN_TOKENS;

/** Texts between those and the new screenshot: of the first turn, its answer, and the marks of two turns. */
const HISTORY_TOKENS = QUESTION_TOKENS + ANSWER_TOKENS + 2 * TURN_TOKENS;

/** Context that `benchAgent` needs. */
export const AGENT_CONTEXT =
  SYSTEM_TOKENS + SCREENSHOT.tokens + 3 * (TURN_TOKENS + QUESTION_TOKENS) + ANSWER_TOKENS;

/**
 * Measures one screenshot and two steps of an agent, after one run that is not counted. The second step comes twice, as
 * it is and with its texts computed before the screenshot: what the first of them leaves in the cache beyond the system
 * message is computed again.
 */
export async function benchAgent(model: LanguageModel, repeats: number): Promise<AgentTimes> {
  const runs: { one: number; first: number; second: number; ahead: number; afterAhead: number }[] = [];
  const before = SHARED_TOKENS + HISTORY_TOKENS;
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const one = await timeToFirstToken(model, { before: TURN_TOKENS, cachedCount: 0 });
    const first = await timeToFirstToken(model, { before: SHARED_TOKENS, cachedCount: 0 });
    const second = await timeToFirstToken(model, { before, cachedCount: SHARED_TOKENS });
    const ahead = await timePrefillAhead(model, before);
    const afterAhead = await timeToFirstToken(model, { before, cachedCount: before });
    if (repeat > 0) runs.push({ one, first, second, ahead, afterAhead });
  }
  return {
    screenshotToFirstTokenMs: median(runs.map(({ one }) => one)),
    firstStepMs: median(runs.map(({ first }) => first)),
    secondStepMs: median(runs.map(({ second }) => second)),
    prefillAheadMs: median(runs.map(({ ahead }) => ahead)),
    prefillAheadTokens: HISTORY_TOKENS,
    secondStepAfterPrefillMs: median(runs.map(({ afterAhead }) => afterAhead)),
  };
}

/** Time of computing the texts of a conversation that its first step has not left in the cache. */
async function timePrefillAhead(model: LanguageModel, before: number): Promise<number> {
  await model.device.idle();
  const startedAt = performance.now();
  const options = { slot: 0, cachedCount: SHARED_TOKENS, isAhead: true };
  await model.text.prefill(randomSequence(model, before, 0), options);
  return performance.now() - startedAt;
}

async function timeToFirstToken(
  model: LanguageModel,
  { before, cachedCount }: { before: number; cachedCount: number },
): Promise<number> {
  const { device, sampler, text } = model;
  startSequences(model, 1);
  const recordSample = await sampler.prepareSample(1);
  const image = createImage(model, SCREENSHOT);
  await device.idle();
  const startedAt = performance.now();
  const features = await model.vision.encode(image);
  const sequence = randomSequence(model, before + SCREENSHOT.tokens + QUESTION_TOKENS, 0);
  const images = [{ start: before, count: SCREENSHOT.tokens, features }];
  await text.prefill({ ...sequence, images }, { slot: 0, cachedCount });
  await chooseFirst(model, recordSample, { batch: 1, place: sequence.tokenIds.length - 1 });
  features.destroy();
  return performance.now() - startedAt;
}

function createImage(
  model: LanguageModel,
  { gridRows, gridColumns }: { gridRows: number; gridColumns: number },
): Parameters<LanguageModel['vision']['encode']>[0] {
  const { inChannels, patchSize } = model.config.vision;
  const length = gridRows * gridColumns * inChannels * patchSize ** 2;
  return {
    patches: Float32Array.from({ length }, (_, index) => Math.sin(index * 0.37)),
    gridRows,
    gridColumns,
  };
}

/** JavaScript memory in use, where the platform tells: Node, and Chromium in its own way. */
function readHeapBytes(): number | undefined {
  const { process, performance: clock } = globalThis as {
    process?: { memoryUsage?: () => { heapUsed: number; arrayBuffers: number } };
    performance: { memory?: { usedJSHeapSize: number } };
  };
  const usage = process?.memoryUsage?.();
  return usage ? usage.heapUsed + usage.arrayBuffers : clock.memory?.usedJSHeapSize;
}

function maximum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}

/** Time of one kind of kernel in a profiled step. */
export interface KernelTime {
  /** Label without the layer's number. */
  readonly kernel: string;
  readonly count: number;
  readonly totalMicroseconds: number;
  /** Weight bytes that it reads; 0 for kernels without weights. */
  readonly bytes: number;
  /** Weight bytes a second, in GB; 0 for kernels without weights. */
  readonly GBps: number;
  /** Multiplications and additions of the products a second, in trillions; 0 for kernels without weights. */
  readonly TFLOPs: number;
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
    bytes,
    GBps: bytes / nanoseconds,
    // 4-bit weights: 4.5 bits each with their scales, a multiplication and an addition for each column.
    TFLOPs: (((bytes * 8) / 4.5) * 2 * columns) / nanoseconds / 1000,
    share: nanoseconds / total,
  }));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
