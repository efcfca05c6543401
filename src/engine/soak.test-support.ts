/** Random requests on one engine: what each must give is known, and nothing may be left behind. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isAbortError } from '../base/errors.ts';
import type { PreparedImage } from '../image/prepare-image.ts';
import type { TokenConstraint } from '../model/token-constraint.ts';
import type { AnswerOptions } from './answer.ts';
import type { Prompt } from './chat-prompt.ts';
import type { LocalEngine } from './local-engine.ts';

/** A request whose answer is known. */
interface KnownRequest {
  readonly prompt: Prompt;
  readonly options: AnswerOptions;
  readonly ids: readonly number[];
  readonly hasConstraint: boolean;
  /** How long it took while nothing else ran: aborts fall into it. */
  readonly aloneMs: number;
}

/** How the requests of a soak ended, and what they left. */
export interface SoakReport {
  readonly complete: number;
  readonly aborted: number;
  readonly left: number;
  readonly interrupted: number;
  /** Descriptions of answers that were not as they must be; empty when all is well. */
  readonly faults: readonly string[];
  /** Bytes on the device after the first tenth and at the end. */
  readonly gpuBytes: readonly [number, number];
  /** Bytes of the heap after the first tenth and at the end, collected. */
  readonly heapBytes: readonly [number, number];
  /** Slots of the KV cache that answers held, and answers that waited for one, at the same two moments. */
  readonly heldSlots: readonly [number, number];
  readonly metricsCount: number;
  readonly cachedTokens: number;
  readonly seconds: number;
}

type Outcome = 'complete' | 'aborted' | 'left' | 'interrupted';

/** Uniform numbers in [0, 1) from a seed. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Sends `count` requests, up to `parallel` at a time: prompts with and without common beginnings and images, greedy,
 * seeded, ranked and constrained; read to the end, aborted before or at any moment, left, or interrupted.
 */
export async function soak(
  engine: LocalEngine,
  { count, seed, parallel, poolSize }: { count: number; seed: number; parallel: number; poolSize: number },
): Promise<SoakReport> {
  const random = createRandom(seed);
  const pool = await createPool(engine, random, poolSize);
  const tally: Record<Outcome, number> = { complete: 0, aborted: 0, left: 0, interrupted: 0 };
  const faults: string[] = [];
  let metricsCount = 0;
  let cachedTokens = 0;
  const forget = engine.onMetrics((metrics) => {
    metricsCount++;
    cachedTokens += metrics.cachedTokens;
  });
  const startedAt = performance.now();
  let sent = 0;
  const work = async (until: number): Promise<void> => {
    while (sent < until) {
      const number = sent++;
      const known = pool[Math.floor(random() * pool.length)] as KnownRequest;
      try {
        tally[await sendOne(engine, known, random)]++;
      } catch (error) {
        faults.push(`request ${number}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  const workAll = (until: number): Promise<unknown> =>
    Promise.all(Array.from({ length: parallel }, () => work(until)));
  await workAll(Math.ceil(count / 10));
  const before = measure(engine);
  await workAll(count);
  const after = measure(engine);
  forget();
  return {
    ...tally,
    faults,
    gpuBytes: [before.gpuBytes, after.gpuBytes],
    heapBytes: [before.heapBytes, after.heapBytes],
    heldSlots: [before.heldSlots, after.heldSlots],
    metricsCount,
    cachedTokens,
    seconds: (performance.now() - startedAt) / 1000,
  };
}

/** What a soak left behind, in words; empty when all is well. */
export function findLeaks({ gpuBytes, heapBytes, heldSlots, ...counts }: SoakReport): string[] {
  const { complete, aborted, left, interrupted, faults } = counts;
  const count = complete + aborted + left + interrupted + faults.length;
  const gpuGrowth = gpuBytes[1] - gpuBytes[0];
  const heapGrowth = heapBytes[1] - heapBytes[0];
  const leaks: string[] = [];
  if (gpuGrowth !== 0) leaks.push(`${gpuGrowth} bytes on the GPU`);
  if (heapGrowth > 4e6 + 200 * count) leaks.push(`${heapGrowth} bytes of the heap`);
  if (heldSlots[0] + heldSlots[1] > 0) leaks.push(`${heldSlots.join(' and ')} slots of the KV cache`);
  return leaks;
}

async function sendOne(engine: LocalEngine, known: KnownRequest, random: () => number): Promise<Outcome> {
  const plan = random();
  const controller = new AbortController();
  const readCount = plan < 0.15 ? Math.floor(random() * known.ids.length) : Infinity;
  const isAborted = plan >= 0.15 && plan < 0.35;
  if (isAborted && random() < 0.1) controller.abort();
  // With others beside it an answer takes longer than alone.
  const laterMs = random() * 3 * known.aloneMs;
  const timer = isAborted ? setTimeout(() => controller.abort(), laterMs) : undefined;
  if (plan > 0.995) setTimeout(() => engine.interruptGenerate(), laterMs);
  const ids: number[] = [];
  try {
    const constraint = known.hasConstraint ? createConstraint(engine.texts.config.text.V) : undefined;
    const answer = engine.answer(known.prompt, known.options, { signal: controller.signal, constraint });
    let next = await answer.next();
    while (!next.done) {
      ids.push(next.value.id);
      if (ids.length > readCount) {
        await answer.return(undefined as never);
        requireBeginning(ids, known);
        return 'left';
      }
      // Readers of different speed.
      if (random() < 0.05) await new Promise((resolve) => setTimeout(resolve, random() * 10));
      next = await answer.next();
    }
    requireBeginning(ids, known);
    if (next.value.finishReason === 'abort') return 'interrupted';
    if (ids.length !== known.ids.length) {
      throw new Error(`it ended after ${ids.length} of ${known.ids.length} tokens`);
    }
    return 'complete';
  } catch (error) {
    if (!isAbortError(error)) throw error;
    if (!controller.signal.aborted) throw new Error('it was aborted by nobody', { cause: error });
    requireBeginning(ids, known);
    return 'aborted';
  } finally {
    clearTimeout(timer);
  }
}

function requireBeginning(ids: readonly number[], known: KnownRequest): void {
  if (ids.every((id, index) => id === known.ids[index])) return;
  throw new Error(`it gave ${ids.join()} where ${known.ids.join()} was due`);
}

/** Allows even ids alone. */
function createConstraint(vocabularySize: number): TokenConstraint {
  return {
    nextMask: () => new Uint32Array(Math.ceil(vocabularySize / 32)).fill(0x55555555),
    accept: (id) => {
      if (id % 2 !== 0) throw new Error(`the odd id ${id} was chosen against the mask`);
    },
  };
}

/** Requests with their answers, each computed while nothing else runs. */
async function createPool(engine: LocalEngine, random: () => number, size: number): Promise<KnownRequest[]> {
  const { V } = engine.texts.config.text;
  const integer = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  const randomIds = (count: number): number[] => Array.from({ length: count }, () => integer(1, V - 30));
  const beginnings = Array.from({ length: 4 }, () => randomIds(integer(20, 40)));
  const images = [createImage('a', random), createImage('b', random)];
  const pool: KnownRequest[] = [];
  while (pool.length < size) {
    const beginning = random() < 0.6 ? (beginnings[integer(0, 3)] as number[]) : [];
    const image = random() < 0.2 ? (images[integer(0, 1)] as PreparedImage) : undefined;
    const imageIds = image ? Array<number>(image.tokenCount).fill(engine.texts.config.imageTokenId) : [];
    const prompt = engine.prompts.fromTokens(
      [...beginning, ...imageIds, ...randomIds(integer(1, 30))],
      image ? [image] : [],
    );
    const kind = random();
    const hasConstraint = kind > 0.9;
    const options: AnswerOptions = {
      max_tokens: integer(1, 12),
      ignore_eos: random() < 0.8,
      ...(kind < 0.5 ? { temperature: 0 } : { temperature: 1, seed: integer(1, 1000), top_p: 0.9 }),
      ...(kind > 0.7 && kind < 0.75 ? { frequency_penalty: 1 } : {}),
      ...(kind > 0.8 && kind < 0.85 ? { logprobs: true, top_logprobs: 3 } : {}),
    };
    const constraint = hasConstraint ? createConstraint(V) : undefined;
    const ids: number[] = [];
    const startedAt = performance.now();
    for await (const { id } of engine.answer(prompt, options, { constraint })) ids.push(id);
    pool.push({ prompt, options, ids, hasConstraint, aloneMs: performance.now() - startedAt });
  }
  return pool;
}

/** Random patches of 4 x 4: 4 tokens. */
function createImage(name: string, random: () => number): PreparedImage {
  return {
    originalWidth: 56,
    originalHeight: 56,
    resizedWidth: 56,
    resizedHeight: 56,
    gridRows: 4,
    gridCols: 4,
    patchCount: 16,
    tokenCount: 4,
    patches: Float32Array.from({ length: 16 * 3 * 14 * 14 }, () => random() * 2 - 1),
    contentHash: name.repeat(64),
  };
}

function measure(engine: LocalEngine): { gpuBytes: number; heapBytes: number; heldSlots: number } {
  const { waiting, active } = engine.load;
  return { gpuBytes: engine.stats().gpuBytes, heapBytes: collectHeap(), heldSlots: waiting + active };
}

/** Collects garbage and measures the heap. */
function collectHeap(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round++) collect();
  return process.memoryUsage().heapUsed;
}
