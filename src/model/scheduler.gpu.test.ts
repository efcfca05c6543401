/**
 * The scheduler on a reference model: against the goldens' greedy answers, alone and in any company. The device feeds
 * itself, the host reads late.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAbortError } from '../base/errors.ts';
import { openNodeDevice, type NodeOpenOptions } from '../gpu/webgpu-node.ts';
import type { BufferRef } from '../kernels/kernel.ts';
import { useDevice } from '../kernels/parity.test-support.ts';
import { encodeSettings } from '../sampling/encode-settings.ts';
import { PLAIN_DEFAULTS } from '../sampling/generation-config.ts';
import { parseSampling, type SamplingRequest } from '../sampling/settings.ts';
import type { SafetensorsFile } from '../storage/safetensors.ts';
import type { SequenceRequest } from './active-sequence.ts';
import type { CompileRequest } from './compile-options.ts';
import {
  encodeGoldenPrompt,
  loadGoldenModel,
  readGoldens,
  type GoldenPrompt,
} from './golden-model.test-support.ts';
import type { LanguageModel } from './language-model.ts';
import { Scheduler } from './scheduler.ts';
import { MAX_COLUMNS } from './text-buffers.ts';
import type { Sequence } from './text-model.ts';
import type { SampledToken } from './token-sampler.ts';

const GREEDY_TOKENS = 24;
/** Of the largest logit: what 4-bit goldens are compared with elsewhere. */
const TOLERANCE = 2e-3;

let inputs: SafetensorsFile;
let goldens: SafetensorsFile;
beforeAll(async () => {
  inputs = await readGoldens('glm4v-b');
  goldens = await readGoldens('glm4v-b', 'golden-q4.safetensors');
});

function toRequest(
  { sequence, ropeDelta }: GoldenPrompt,
  sampling: SamplingRequest = { temperature: 0 },
  overrides: Partial<SequenceRequest> = {},
): SequenceRequest {
  const settings = parseSampling(sampling, { defaults: PLAIN_DEFAULTS, vocabularySize: 1000 });
  return {
    tokenIds: sequence.tokenIds,
    positions: sequence.positions,
    keys: toKeys(sequence),
    encodeImages: async () => ({ runs: sequence.images, release: () => {} }),
    ropeDelta,
    sampler: { settings: encodeSettings(settings, { vocabularySize: 1000 }) },
    maxTokens: GREEDY_TOKENS,
    topCount: settings.topLogprobs,
    ...overrides,
  };
}

async function collect(tokens: AsyncGenerator<SampledToken>): Promise<SampledToken[]> {
  const list: SampledToken[] = [];
  for await (const token of tokens) list.push(token);
  return list;
}

async function generateIds(scheduler: Scheduler, request: SequenceRequest): Promise<number[]> {
  return (await collect(scheduler.generate(request))).map(({ id }) => id);
}

/** Image tokens are told apart by where their features are. */
function toKeys({ tokenIds, images }: Sequence): number[] {
  const keys = Array.from(tokenIds);
  for (const { start, count, features } of images) keys.fill(-1 - identify(features), start, start + count);
  return keys;
}

const identities = new Map<unknown, number>();
function identify(thing: unknown): number {
  const known = identities.get(thing) ?? identities.size;
  identities.set(thing, known);
  return known;
}

/** Natural-log softmax in f64. */
function logSoftmax(logits: Float32Array): number[] {
  const largest = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return Array.from(logits, (logit) => logit - largest - Math.log(total));
}

/** Demands that ranked tokens be the best ones, in order, with their log-probabilities. */
function expectRanked(ranked: readonly { id: number; logprob: number }[], logits: Float32Array): void {
  const expected = logSoftmax(logits);
  const limit = 2 * TOLERANCE * Math.max(...logits.map(Math.abs));
  const best = expected.toSorted((a, b) => b - a);
  ranked.forEach(({ id, logprob }, rank) => {
    expect(Math.abs(logprob - expected[id])).toBeLessThanOrEqual(limit);
    // Where two are closer than the tolerance, either may come first.
    expect(Math.abs(expected[id] - best[rank])).toBeLessThanOrEqual(limit);
  });
  expect(new Set(ranked.map(({ id }) => id)).size).toBe(ranked.length);
}

describe('Scheduler, one sequence', () => {
  const device = useDevice();
  const CONTEXT = 66;
  let model: LanguageModel;
  let text: GoldenPrompt;
  let image: GoldenPrompt;
  beforeAll(async () => {
    model = await loadGoldenModel(device(), 'glm4v-b', 'q4f16_1', { context: CONTEXT, prefillChunk: 16 });
    text = await encodeGoldenPrompt(model, inputs, 'text');
    image = await encodeGoldenPrompt(model, inputs, 'image');
  });
  afterAll(() => model?.destroy());

  const goldenIds = (prompt: string): number[] => [...goldens.int32(`${prompt}.greedy_ids`)];
  /** One that takes every slot for empty. */
  const create = (stepsInFlight = 1): Promise<Scheduler> => Scheduler.create(model, { stepsInFlight });
  const expectGreedy = async (
    scheduler: Scheduler,
    overrides: Partial<SequenceRequest> = {},
  ): Promise<void> =>
    expect(await generateIds(scheduler, toRequest(text, undefined, overrides))).toEqual(goldenIds('text'));

  for (const stepsInFlight of [1, 4]) {
    it(`gives the goldens' greedy tokens with ${stepsInFlight} steps in flight`, async () => {
      const scheduler = await create(stepsInFlight);
      await expectGreedy(scheduler);
      const ids = await generateIds(scheduler, toRequest(image));
      expect(ids).toEqual(goldenIds('image'));
    });
  }

  it('ranks the best tokens of every step by the log softmax of the logits', async () => {
    const scheduler = await create(4);
    const sampling = { temperature: 0, logprobs: true, top_logprobs: 5 };
    const tokens = await collect(scheduler.generate(toRequest(image, sampling)));
    const logits = goldens.float32('image.greedy_logits');
    expect(tokens).toHaveLength(GREEDY_TOKENS);
    tokens.forEach(({ id, logprob, top = [] }, step) => {
      expect(top).toHaveLength(5);
      expect(top[0].id).toBe(id);
      expect(top[0].logprob).toBeCloseTo(logprob, 5);
      expectRanked(top, logits.subarray(step * 1000, (step + 1) * 1000));
    });
  });

  it('ranks the continuations of every position of a prompt', async () => {
    const ranked: { id: number; logprob: number }[][] = [];
    await model.text.prefill(image.sequence, {
      slot: 0,
      cachedCount: 0,
      afterChunk: async (from, to) => {
        for (let first = 0; first < to - from; first += MAX_COLUMNS) {
          const count = Math.min(MAX_COLUMNS, to - from - first);
          await model.text.computeLogits(Array.from({ length: count }, (_, row) => first + row));
          ranked.push(...(await model.ranker.rankRows(count, 3)));
        }
      },
    });
    const logits = goldens.float32('image.logits');
    expect(ranked).toHaveLength(image.sequence.tokenIds.length);
    ranked.forEach((row, position) => {
      expect(row).toHaveLength(3);
      expectRanked(row, logits.subarray(position * 1000, (position + 1) * 1000));
    });
  });

  it('gives the same text for the same seed, with any number of steps in flight, and another for another', async () => {
    const sample = async (seed: number, stepsInFlight: number): Promise<number[]> =>
      generateIds(await create(stepsInFlight), toRequest(text, { temperature: 1, top_p: 0.95, seed }));
    const first = await sample(7, 1);
    expect(await sample(7, 4)).toEqual(first);
    expect(await sample(8, 1)).not.toEqual(first);
    expect(first).not.toEqual(goldenIds('text'));
  });

  it('reports the prefill chunk by chunk', async () => {
    const progress: [number, number][] = [];
    const chunks: [number, number][] = [];
    await expectGreedy(await create(), {
      onPrefill: (done, total) => progress.push([done, total]),
      afterChunk: async (from, to) => void chunks.push([from, to]),
    });
    expect(progress).toEqual([
      [0, 24],
      [16, 24],
    ]);
    expect(chunks).toEqual([
      [0, 16],
      [16, 24],
    ]);
  });

  it('computes only what the cache does not hold', async () => {
    const scheduler = await create();
    await expectGreedy(scheduler);
    const progress: [number, number][] = [];
    const onPrefill = (done: number, total: number) => progress.push([done, total]);
    await expectGreedy(scheduler, { onPrefill });
    const keys = toKeys(text.sequence).map((key, index) => (index === 9 ? -1 : key));
    await expectGreedy(scheduler, { onPrefill, keys });
    expect(progress).toEqual([
      [0, 1],
      [0, 15],
    ]);
  });

  it('stops between two chunks of a prefill, and answers rightly afterwards', async () => {
    const controller = new AbortController();
    let chunkCount = 0;
    const scheduler = await create();
    const tokens = scheduler.generate(
      toRequest(image, undefined, {
        signal: controller.signal,
        afterChunk: async () => {
          if (++chunkCount === 2) controller.abort();
        },
      }),
    );
    await expect(collect(tokens)).rejects.toSatisfy(isAbortError);
    expect(chunkCount).toBe(2);
    await expectGreedy(scheduler);
  });

  it('stops between two tokens, and answers rightly afterwards', async () => {
    for (const stepsInFlight of [1, 4]) {
      const controller = new AbortController();
      const seen: number[] = [];
      const scheduler = await create(stepsInFlight);
      const run = async (): Promise<void> => {
        const request = toRequest(image, undefined, { signal: controller.signal });
        for await (const { id } of scheduler.generate(request)) {
          seen.push(id);
          if (seen.length === 5) controller.abort();
        }
      };
      await expect(run()).rejects.toSatisfy(isAbortError);
      expect(seen).toEqual(goldenIds('image').slice(0, 5));
      await expectGreedy(scheduler);
    }
  });

  it('stops when its reader leaves, and answers rightly afterwards', async () => {
    const scheduler = await create(4);
    for await (const { id } of scheduler.generate(toRequest(image))) {
      expect(id).toBe(goldenIds('image')[0]);
      break;
    }
    await expectGreedy(scheduler);
  });

  it('does nothing for a signal that was aborted before', async () => {
    let chunkCount = 0;
    const request = toRequest(text, undefined, {
      signal: AbortSignal.abort(),
      afterChunk: async () => void chunkCount++,
    });
    await expect(collect((await create()).generate(request))).rejects.toSatisfy(isAbortError);
    expect(chunkCount).toBe(0);
  });

  it('ends where the context is full', async () => {
    const ids = await generateIds(await create(4), toRequest(image, undefined, { maxTokens: 1000 }));
    // The last token needs no place of its own.
    expect(ids).toHaveLength(CONTEXT - 42 + 1);
    expect(ids.slice(0, GREEDY_TOKENS)).toEqual(goldenIds('image'));
  });

  it('reports logits that are no numbers as a fault, and answers rightly with sound weights', async () => {
    const { buffer, byteOffset, byteLength } = model.layout.text.finalNorm as Required<BufferRef>;
    const weights = model.buffers.get(buffer);
    const sound = await device().read(weights, byteOffset, byteLength);
    device().write(weights, byteOffset, new Float32Array(byteLength / 4).fill(NaN));
    for (const stepsInFlight of [1, 4]) {
      const scheduler = await create(stepsInFlight);
      const tokens = scheduler.generate(toRequest(text));
      await expect(collect(tokens)).rejects.toMatchObject({
        code: 'internal',
        message: expect.stringContaining('token 0') as string,
        cure: expect.any(String) as string,
      });
    }
    device().write(weights, byteOffset, new Uint8Array(sound));
    await expectGreedy(await create());
  });

  it('refuses a prompt that leaves no room for an answer, and answers rightly afterwards', async () => {
    const tokenIds = Array.from({ length: CONTEXT }, (_, index) => index + 1);
    const sequence = {
      tokenIds,
      positions: Uint32Array.from(tokenIds.flatMap((_, index) => [index, index, index])),
      images: [],
    };
    const scheduler = await create();
    await expect(collect(scheduler.generate(toRequest({ sequence, ropeDelta: 0 })))).rejects.toMatchObject({
      code: 'prompt-too-long',
      value: CONTEXT,
      limit: CONTEXT,
    });
    const shorter = { ...sequence, tokenIds: tokenIds.slice(1) };
    expect(await generateIds(scheduler, toRequest({ sequence: shorter, ropeDelta: 0 }))).toHaveLength(2);
    await expectGreedy(scheduler);
  });
});

describe('Scheduler, on other devices', () => {
  const VARIANTS: readonly {
    name: string;
    request?: Partial<CompileRequest>;
    options?: NodeOpenOptions;
  }[] = [
    {
      name: 'that bind and allocate so little that weights are cut by rows',
      options: { limitCaps: { maxStorageBufferBindingSize: 60000, maxBufferSize: 2 ** 20 } },
    },
    {
      name: 'without subgroups',
      options: { withoutFeatures: ['subgroups'] },
    },
    {
      name: 'that reduce by subgroups',
      request: { reduction: 'subgroup' },
    },
  ];
  for (const { name, request, options } of VARIANTS) {
    it(`gives the goldens' greedy tokens on devices ${name}`, async () => {
      const device = await openNodeDevice({ toggles: ['disable_workgroup_init'], ...options });
      try {
        const model = await loadGoldenModel(device, 'glm4v-b', 'q4f16_1', request);
        if (name.includes('rows')) expect(model.layout.text.head.parts).toHaveLength(3);
        if (name.includes('without')) expect(device.capabilities.hasSubgroups).toBe(false);
        const prompt = await encodeGoldenPrompt(model, inputs, 'image');
        const scheduler = await Scheduler.create(model, { stepsInFlight: 1 });
        expect(await generateIds(scheduler, toRequest(prompt))).toEqual([
          ...goldens.int32('image.greedy_ids'),
        ]);
      } finally {
        device.destroy();
      }
    });
  }

  it('reports a device that went away while the reader was busy, at the next token', async () => {
    const device = await openNodeDevice({ toggles: ['disable_workgroup_init'] });
    const model = await loadGoldenModel(device, 'glm4v-b', 'q4f16_1');
    const prompt = await encodeGoldenPrompt(model, inputs, 'text');
    const scheduler = await Scheduler.create(model, { stepsInFlight: GREEDY_TOKENS / 3 });
    const tokens = scheduler.generate(toRequest(prompt));
    expect((await tokens.next()).done).toBe(false);
    device.destroy();
    await new Promise((resolve) => setTimeout(resolve, 300));
    // Tokens that were read before are still given; then the fault, at the latest with the next step.
    await expect(collect(tokens)).rejects.toMatchObject({ name: 'AutoglmError', code: 'engine-unloaded' });
  });
});
