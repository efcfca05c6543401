/** Many sequences on one model: the same tokens as alone, in turn, without waiting for one another. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isAbortError } from '../base/errors.ts';
import { expectClose, useDevice } from '../kernels/parity.test-support.ts';
import type { SamplingRequest } from '../sampling/settings.ts';
import { MAX_UNREAD, type SequenceRequest, type SequenceSummary } from './active-sequence.ts';
import type { Arithmetic, DecodeReach } from './compile-options.ts';
import { loadGoldenModel } from './golden-model.test-support.ts';
import type { LanguageModel } from './language-model.ts';
import { Scheduler } from './scheduler.ts';
import {
  collectTokens,
  compileSteps,
  generateIds,
  randomIds,
  textRequest,
} from './scheduler.test-support.ts';

const SLOTS = 4;
const CHUNK = 16;

/** Sums in another order may round an activation to the next step of its digits. */
const DIGITS_TOLERANCE = 1e-4;

describe('a decode step of several columns', () => {
  const device = useDevice({ storageBuffers: 10 });
  for (const arithmetic of ['f32', 'int8'] as const satisfies readonly Arithmetic[]) {
    it(`gives each column, in ${arithmetic}, the very logits that it gets alone`, async () => {
      const request = { context: 64, slots: 3, prefillChunk: 64, arithmetic };
      const model = await loadGoldenModel(device(), 'glm4v-b', 'q4f16_1', request);
      try {
        const rows = [9, 40, 24].map((count, slot) => ({ ids: randomIds(count, slot), slot }));
        for (const { ids, slot } of rows) {
          await model.text.prefill({ ...textRequest(ids), images: [] }, { slot, cachedCount: 0 });
        }
        const alone: Uint32Array[] = [];
        for (const row of rows) alone.push(...(await decodeLogits(model, [row])));
        const together = await decodeLogits(model, rows);
        together.forEach((bits, column) => expect(bits).toEqual(alone[column]));
        // Successive tokens of one sequence: each sees the keys of those before it.
        const tokens = [5, 6, 7].map((token, ahead) => ({ ids: rows[1].ids, slot: 1, token, ahead }));
        const inOrder: Uint32Array[] = [];
        for (const row of tokens) inOrder.push(...(await decodeLogits(model, [row])));
        await model.text.prefill({ ...textRequest(rows[1].ids), images: [] }, { slot: 1, cachedCount: 0 });
        const atOnce = await decodeLogits(model, tokens);
        atOnce.forEach((bits, column) => expect(bits).toEqual(inOrder[column]));
      } finally {
        model.destroy();
      }
    });
  }

  it('gives each column, by rows in turn, the logits that it gets alone, for few keys and for many', async () => {
    const digits = { arithmetic: 'int8', reduction: 'subgroup' } as const;
    const nearTiling = { workgroup: 128, keyLanes: 4, keys: 4, headGroups: 4 } as const;
    const request = { context: 64, slots: 3, prefillChunk: 64, farKeys: 40, nearTiling, ...digits };
    const model = await loadGoldenModel(device(), 'glm4v-b', 'q4f16_1', request);
    try {
      const rows = [9, 40, 24].map((count, slot) => ({ ids: randomIds(count, slot), slot }));
      for (const { ids, slot } of rows) {
        await model.text.prefill({ ...textRequest(ids), images: [] }, { slot, cachedCount: 0 });
      }
      expect([39, 40].map((keyCount) => model.text.reachFor(3, keyCount))).toEqual(['near', 'far']);
      const near = await decodeLogits(model, rows, 'near');
      const far = await decodeLogits(model, rows, 'far');
      for (const [column, row] of rows.entries()) {
        const [alone] = await decodeLogits(model, [row]);
        const logits = [near[column], far[column], alone].map(({ buffer }) => new Float32Array(buffer));
        expectClose(logits[0], logits[2], DIGITS_TOLERANCE);
        expectClose(logits[1], logits[2], DIGITS_TOLERANCE);
      }
    } finally {
      model.destroy();
    }
  });
});

/** Bits of the logits after one more token of each sequence. */
async function decodeLogits(
  model: LanguageModel,
  rows: readonly {
    readonly ids: readonly number[];
    readonly slot: number;
    readonly token?: number;
    readonly ahead?: number;
  }[],
  reach: DecodeReach = 'near',
): Promise<Uint32Array[]> {
  const { text, device, config } = model;
  const record = await text.prepareDecode(rows.length, reach);
  rows.forEach(({ ids, slot, token = 100 + slot, ahead = 0 }, column) => {
    const place = ids.length + ahead;
    const position = [place, place, place] as const;
    text.writeDecodeRow(column, { position, token, cacheIndex: place, slot, generated: 0 });
  });
  const recorder = device.createRecorder('decode');
  record(recorder);
  recorder.submit();
  const { V } = config.text;
  const bits = new Uint32Array(await device.read(text.logits, 0, rows.length * V * 4));
  return rows.map((_, column) => bits.slice(column * V, (column + 1) * V));
}

describe('Scheduler, many sequences', () => {
  const device = useDevice();
  let model: LanguageModel;
  beforeAll(async () => {
    const request = { context: 128, slots: SLOTS, prefillChunk: CHUNK };
    model = await loadGoldenModel(device(), 'glm4v-a', 'q0f32', request);
  });
  afterAll(() => model?.destroy());
  /** One that takes every slot for empty. */
  const create = (stepsInFlight = 1): Promise<Scheduler> => Scheduler.create(model, { stepsInFlight });

  const SEEDED: SamplingRequest = { temperature: 1, top_p: 0.95, seed: 11 };
  const PROMPTS = [24, 5, 40, 17].map((count, seed) => randomIds(count, seed + 1));
  const requests = (
    sampling?: SamplingRequest,
    overrides: Partial<SequenceRequest> = {},
  ): SequenceRequest[] => PROMPTS.map((ids) => textRequest(ids, sampling, { maxTokens: 12, ...overrides }));

  /** What each request gives when nothing else runs and the cache is empty. */
  async function runAlone(list: readonly SequenceRequest[]): Promise<number[][]> {
    const results: number[][] = [];
    for (const request of list) results.push(await generateIds(await create(), request));
    return results;
  }

  /** Labels of what is submitted meanwhile. */
  function watchRecorders(): { labels: string[]; [Symbol.dispose]: () => void } {
    const labels: string[] = [];
    const createRecorder = model.device.createRecorder.bind(model.device);
    const spy = vi.spyOn(model.device, 'createRecorder').mockImplementation((label) => {
      labels.push(label);
      return createRecorder(label);
    });
    return { labels, [Symbol.dispose]: () => spy.mockRestore() };
  }

  for (const stepsInFlight of [1, 4]) {
    for (const sampling of [undefined, SEEDED]) {
      const name = sampling ? 'seeded' : 'greedy';
      it(`gives ${name} tokens together as alone, ${stepsInFlight} steps in flight`, async () => {
        const list = requests(sampling);
        const alone = await runAlone(list);
        const scheduler = await create(stepsInFlight);
        for (let round = 0; round < 2; round++) {
          const together = await Promise.all(list.map((request) => generateIds(scheduler, request)));
          expect(together).toEqual(alone);
        }
        await scheduler.idle();
        expect(scheduler.load).toEqual({ waiting: 0, active: 0 });
      });
    }
  }

  it('shares the steps of sequences that run together', async () => {
    await compileSteps(model, SLOTS);
    const scheduler = await create();
    const summaries: SequenceSummary[] = [];
    const onEnd = (summary: SequenceSummary): void => void summaries.push(summary);
    using watched = watchRecorders();
    await Promise.all(
      requests(undefined, { maxTokens: 40, onEnd }).map((request) => generateIds(scheduler, request)),
    );
    expect(watched.labels).toContain(`decode x${SLOTS}`);
    expect(summaries).toHaveLength(SLOTS);
    for (const { meanColumns, steps } of summaries) {
      expect(steps).toBe(39);
      expect(meanColumns).toBeGreaterThan(2);
      expect(meanColumns).toBeLessThanOrEqual(SLOTS);
    }
  });

  it('lets a sequence join and leave while others run', async () => {
    const [first, second] = requests(undefined, { maxTokens: 30 });
    const alone = await runAlone([first, { ...second, maxTokens: 4 }]);
    const scheduler = await create();
    const ids: number[] = [];
    let joined: Promise<number[]> | undefined;
    let aheadAtEnd = 0;
    for await (const { id } of scheduler.generate(first)) {
      ids.push(id);
      if (ids.length === 3) {
        joined = generateIds(scheduler, { ...second, maxTokens: 4 });
        void joined.then(() => (aheadAtEnd = ids.length));
      }
    }
    expect(await joined).toEqual(alone[1]);
    expect(ids).toEqual(alone[0]);
    // It neither waited for the first one's end nor held it up.
    expect(aheadAtEnd).toBeGreaterThan(3);
    expect(aheadAtEnd).toBeLessThan(30);
  });

  it('computes a prompt in turn with the steps of others', async () => {
    const scheduler = await create();
    const [runner] = requests(undefined, { maxTokens: 60 });
    const tokens = scheduler.generate(runner);
    await tokens.next();
    using watched = watchRecorders();
    const long = textRequest(randomIds(5 * CHUNK, 9), undefined, { maxTokens: 1 });
    await Promise.all([generateIds(scheduler, long), collectTokens(tokens)]);
    const order = watched.labels.map((label) => (label.startsWith('prefill') ? 'P' : 'd')).join('');
    // Never two chunks in a row, and never many steps between them.
    expect(order).toMatch(/Pd{1,5}Pd{1,5}Pd{1,5}Pd{1,5}P/);
    expect(order).not.toContain('PP');
  });

  it('takes turns between two prompts', async () => {
    const scheduler = await create();
    const progress: string[] = [];
    const run = (name: string, seed: number): Promise<number[]> =>
      generateIds(
        scheduler,
        textRequest(randomIds(3 * CHUNK, seed), undefined, {
          maxTokens: 1,
          onPrefill: (done) => progress.push(`${name}${done / CHUNK}`),
        }),
      );
    await Promise.all([run('a', 21), run('b', 22)]);
    expect(progress).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2']);
  });

  it('gives slots first come, first served', async () => {
    const scheduler = await create();
    const admitted: [number, number][] = [];
    const list = Array.from({ length: 7 }, (_, index) => randomIds(6 + index, index + 30));
    const alone = await runAlone(list.map((ids) => textRequest(ids)));
    const together = await Promise.all(
      list.map((ids, index) =>
        generateIds(
          scheduler,
          textRequest(ids, undefined, {
            onEnd: ({ times }) => admitted.push([index, times.admittedAt]),
          }),
        ),
      ),
    );
    expect(together).toEqual(alone);
    const order = admitted.toSorted((a, b) => a[1] - b[1] || a[0] - b[0]).map(([index]) => index);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  /** Computes a prompt that nobody has asked for yet, and says what was computed. */
  async function runAhead(
    scheduler: Scheduler,
    ids: readonly number[],
    overrides: Partial<SequenceRequest> = {},
  ): Promise<Pick<SequenceSummary, 'cachedTokens' | 'computedTokens'>> {
    const summaries: SequenceSummary[] = [];
    const onEnd = (summary: SequenceSummary): void => void summaries.push(summary);
    await generateIds(
      scheduler,
      textRequest(ids, undefined, { maxTokens: 0, ahead: {}, onEnd, ...overrides }),
    );
    const { cachedTokens, computedTokens } = summaries[0]!;
    return { cachedTokens, computedTokens };
  }

  it('computes ahead in room that nobody needs, and goes on from there with the very tokens', async () => {
    const scheduler = await create();
    const talks = [60, 61, 62].map((seed) => randomIds(40, seed));
    for (const ids of talks) await generateIds(scheduler, textRequest(ids));
    const held = scheduler.slots.all.slice(0, 3).map(({ keys }) => [...keys]);
    const coming = [...talks[0].slice(0, 20), ...randomIds(24, 63)];
    expect(await runAhead(scheduler, coming)).toEqual({ cachedTokens: 20, computedTokens: 24 });
    expect(scheduler.slots.all.slice(0, 3).map(({ keys }) => keys)).toEqual(held);
    // No room is left, but for who says which conversation is over.
    expect(await runAhead(scheduler, randomIds(30, 64))).toEqual({ cachedTokens: 0, computedTokens: 0 });
    const spent = { ahead: { spent: talks[1] } };
    expect(await runAhead(scheduler, randomIds(30, 64), spent)).toEqual({
      cachedTokens: 0,
      computedTokens: 30,
    });
    const summaries: SequenceSummary[] = [];
    const onEnd = (summary: SequenceSummary): void => void summaries.push(summary);
    const request = textRequest([...coming, 7, 8]);
    expect([await generateIds(scheduler, { ...request, onEnd })]).toEqual(await runAlone([request]));
    expect(summaries[0]?.cachedTokens).toBe(44);
  });

  it('computes ahead when no answer is left, and stops for the next one within a chunk', async () => {
    const scheduler = await create();
    const ended: string[] = [];
    const run = (ids: readonly number[], name: string, overrides: Partial<SequenceRequest>) =>
      generateIds(
        scheduler,
        textRequest(ids, undefined, { onEnd: () => void ended.push(name), ...overrides }),
      );
    const answering = run(randomIds(20, 70), 'answer', {});
    // One more than may wait.
    const aheads = Array.from({ length: 9 }, (_, index) =>
      run(randomIds(30, 71 + index), `ahead ${index}`, { maxTokens: 0, ahead: {} }),
    );
    await Promise.all([answering, ...aheads]);
    expect(ended).toHaveLength(10);
    expect(ended.slice(0, 2)).toEqual(['ahead 0', 'answer']);

    const other = await create();
    const long = randomIds(7 * CHUNK, 80);
    const ahead = runAhead(other, long);
    await vi.waitUntil(() => other.slots.tokenCount >= CHUNK, { interval: 0 });
    const request = textRequest(randomIds(20, 81));
    const tokens = await generateIds(other, request);
    const { computedTokens } = await ahead;
    expect(computedTokens).toBeGreaterThanOrEqual(CHUNK);
    expect(computedTokens).toBeLessThan(long.length);
    expect([tokens]).toEqual(await runAlone([request]));
    expect(other.slots.match(long, long.length).count).toBe(computedTokens);
  });

  it('computes a prompt that several ask for once, and samples each with its own seed', async () => {
    const ids = randomIds(2 * CHUNK + 5, 40);
    const list = [1, 2, 3, 4].map((seed) => textRequest(ids, { temperature: 1, seed }));
    const alone = await runAlone(list);
    const scheduler = await create();
    const cached: number[] = [];
    using watched = watchRecorders();
    const together = await Promise.all(
      list.map((request) =>
        generateIds(scheduler, { ...request, onEnd: ({ cachedTokens }) => cached.push(cachedTokens) }),
      ),
    );
    expect(together).toEqual(alone);
    expect(new Set(together.map(String)).size).toBeGreaterThan(1);
    expect(watched.labels.filter((label) => label.startsWith('prefill '))).toEqual([
      'prefill 0..16',
      'prefill 16..32',
      'prefill 32..37',
    ]);
    expect(cached.toSorted((a, b) => a - b)).toEqual([0, ids.length, ids.length, ids.length]);
  });

  it('computes a common beginning once, also when it is still being computed', async () => {
    const beginning = randomIds(2 * CHUNK, 41);
    const list = [50, 51, 52].map((seed) => textRequest([...beginning, ...randomIds(3, seed)]));
    const alone = await runAlone(list);
    const scheduler = await create();
    const cached: number[] = [];
    const together = await Promise.all(
      list.map((request) =>
        generateIds(scheduler, { ...request, onEnd: ({ cachedTokens }) => cached.push(cachedTokens) }),
      ),
    );
    expect(together).toEqual(alone);
    expect(cached.toSorted((a, b) => a - b)).toEqual([0, beginning.length, beginning.length]);
  });

  it('goes on without the one that computed the beginning when that is aborted', async () => {
    const ids = randomIds(4 * CHUNK, 42);
    const request = textRequest(ids);
    const [alone] = await runAlone([request]);
    const scheduler = await create();
    const controller = new AbortController();
    const doomed = generateIds(scheduler, {
      ...request,
      signal: controller.signal,
      onPrefill: (done) => {
        if (done === 2 * CHUNK) controller.abort();
      },
    });
    const others = [generateIds(scheduler, request), generateIds(scheduler, request)];
    await expect(doomed).rejects.toSatisfy(isAbortError);
    expect(await Promise.all(others)).toEqual([alone, alone]);
  });

  it('keeps several conversations side by side', async () => {
    const scheduler = await create();
    const cached: number[] = [];
    const onEnd = ({ cachedTokens }: SequenceSummary): void => void cached.push(cachedTokens);
    const histories = [60, 61, 62, 63].map((seed) => randomIds(20, seed));
    for (let turn = 0; turn < 3; turn++) {
      for (const history of histories) {
        history.push(
          ...(await generateIds(scheduler, textRequest(history, undefined, { maxTokens: 3, onEnd }))),
        );
        history.push(5);
      }
    }
    // Of the last turn everything but what was added since: the answer's last token, and ours.
    expect(cached).toEqual([0, 0, 0, 0, 22, 22, 22, 22, 26, 26, 26, 26]);
  });

  it('holds nobody up for a slow reader, and gives that all its tokens', async () => {
    const [slow, quick] = requests(undefined, { maxTokens: 60 });
    const alone = await runAlone([slow, quick]);
    const scheduler = await create(4);
    const tokens = scheduler.generate(slow);
    const first = await tokens.next();
    using watched = watchRecorders();
    expect(await generateIds(scheduler, quick)).toEqual(alone[1]);
    const steps = watched.labels.filter((label) => label.startsWith('decode')).length;
    expect(steps).toBeLessThanOrEqual(59 + MAX_UNREAD);
    const rest = await collectTokens(tokens);
    expect([first.value?.id, ...rest.map(({ id }) => id)]).toEqual(alone[0]);
  });

  it('stops computing for a reader that does not read', async () => {
    const scheduler = await create(4);
    const tokens = scheduler.generate(requests(undefined, { maxTokens: 90 })[0]);
    await tokens.next();
    using watched = watchRecorders();
    // Until nothing is submitted any more.
    let before = -1;
    while (before !== watched.labels.length) {
      before = watched.labels.length;
      for (let wait = 0; wait < 10; wait++) await model.device.idle();
    }
    expect(before).toBeGreaterThan(MAX_UNREAD / 2);
    expect(before).toBeLessThanOrEqual(MAX_UNREAD);
    expect(scheduler.load).toEqual({ waiting: 0, active: 1 });
    await tokens.return(undefined);
    expect(scheduler.load).toEqual({ waiting: 0, active: 0 });
  });

  it('stops one, and leaves the others as they are', async () => {
    const list = requests(undefined, { maxTokens: 20 });
    const alone = await runAlone(list);
    const scheduler = await create(4);
    const controller = new AbortController();
    const seen: number[] = [];
    const abortAfterThree = async (): Promise<void> => {
      for await (const { id } of scheduler.generate({ ...list[1], signal: controller.signal })) {
        seen.push(id);
        if (seen.length === 3) controller.abort();
      }
    };
    const stopped = abortAfterThree();
    const others = Promise.all([0, 2, 3].map((index) => generateIds(scheduler, list[index])));
    await expect(stopped).rejects.toSatisfy(isAbortError);
    expect(seen).toEqual(alone[1].slice(0, 3));
    expect(await others).toEqual([alone[0], alone[2], alone[3]]);
  });

  it('constrains one of several', async () => {
    const list = requests();
    const alone = await runAlone(list);
    const wanted = [7, 31, 32, 299, 0, 64];
    const accepted: number[] = [];
    const constraint = {
      nextMask: async () => {
        const mask = new Uint32Array(10);
        const id = wanted[accepted.length];
        mask[id >>> 5] = 1 << (id & 31);
        return mask;
      },
      accept: (id: number) => void accepted.push(id),
    };
    const scheduler = await create(4);
    const constrained = textRequest(PROMPTS[0], undefined, { constraint, maxTokens: wanted.length });
    const [ids, ...others] = await Promise.all(
      [constrained, ...list.slice(1)].map((request) => generateIds(scheduler, request)),
    );
    expect(ids).toEqual(wanted);
    expect(accepted).toEqual(wanted);
    expect(others).toEqual(alone.slice(1));
  });

  it('ranks for those that ask, in any company', async () => {
    const [ranked, ...plain] = requests({ temperature: 0, logprobs: true, top_logprobs: 3 });
    const silent = plain.map((request) => ({ ...request, topCount: 0 }));
    const alone = await collectTokens((await create()).generate(ranked));
    const scheduler = await create();
    const [tokens] = await Promise.all([
      collectTokens(scheduler.generate(ranked)),
      ...silent.map((request) => generateIds(scheduler, request)),
    ]);
    expect(tokens.every(({ top }) => top?.length === 3)).toBe(true);
    expect(tokens).toEqual(alone);
  });

  it('ends what a fault of one sequence concerns, and nothing else', async () => {
    const list = requests();
    const alone = await runAlone(list);
    const scheduler = await create();
    const constraint = {
      nextMask: () => {
        throw new RangeError('no mask');
      },
      accept: () => {},
    };
    const faulty = generateIds(scheduler, textRequest(PROMPTS[0], undefined, { constraint }));
    const others = Promise.all(list.slice(1).map((request) => generateIds(scheduler, request)));
    await expect(faulty).rejects.toThrow('no mask');
    expect(await others).toEqual(alone.slice(1));
    expect(await generateIds(scheduler, list[0])).toEqual(alone[0]);
  });

  describe('guessing', () => {
    const createGuessing = (stepsInFlight: number): Promise<Scheduler> =>
      Scheduler.create(model, { stepsInFlight, speculation: 'on' });
    const PATTERN = randomIds(7, 70);
    const REPEATING = [...PATTERN, ...PATTERN, ...PATTERN, ...PATTERN.slice(0, 3)];
    const CASES: readonly (readonly [string, SamplingRequest])[] = [
      ['greedy', { temperature: 0 }],
      ['seeded', { temperature: 0.7, seed: 5 }],
      ['seeded and truncated', { temperature: 1, top_k: 3, top_p: 0.9, seed: 6 }],
    ];

    for (const [name, sampling] of CASES) {
      it(`gives the very tokens of plain steps, ${name}, in fewer steps`, async () => {
        let guessed = 0;
        const onEnd = ({ guessedTokens, steps }: SequenceSummary): void => {
          expect(steps).toBe(59 - guessedTokens);
          guessed += guessedTokens;
        };
        const list = [REPEATING, PROMPTS[0]].map((ids) =>
          textRequest(ids, sampling, { maxTokens: 60, onEnd }),
        );
        const plain = await runAlone(list.map((request) => ({ ...request, onEnd: undefined })));
        for (const stepsInFlight of [1, 4]) {
          const scheduler = await createGuessing(stepsInFlight);
          // Steps with guesses compile while the first one runs.
          for (let round = 0; round < 2; round++) {
            for (const [index, request] of list.entries()) {
              expect(await generateIds(scheduler, request)).toEqual(plain[index]);
            }
          }
        }
        if (name === 'greedy') expect(guessed).toBeGreaterThan(5);
      });
    }

    it('ends at the limit and at a stop token, as plain steps do', async () => {
      const scheduler = await createGuessing(4);
      const [plain] = await runAlone([textRequest(REPEATING, undefined, { maxTokens: 60 })]);
      for (const maxTokens of [1, 2, 17, 33]) {
        const ids = await generateIds(scheduler, textRequest(REPEATING, undefined, { maxTokens }));
        expect(ids).toEqual(plain.slice(0, maxTokens));
      }
      const stop = plain[20];
      const request = textRequest(REPEATING, undefined, { maxTokens: 60, stopIds: new Set([stop]) });
      expect(await generateIds(scheduler, request)).toEqual(plain.slice(0, plain.indexOf(stop) + 1));
      const full = { maxTokens: 1000, stopIds: undefined };
      const whole = await generateIds(scheduler, textRequest(REPEATING, undefined, full));
      expect(whole).toEqual((await runAlone([textRequest(REPEATING, undefined, full)]))[0]);
    });

    it('makes room for a sequence that joins, and begins again when it is alone', async () => {
      const first = textRequest(REPEATING, undefined, { maxTokens: 80 });
      const second = textRequest(PROMPTS[1], SEEDED, { maxTokens: 10 });
      const alone = await runAlone([first, second]);
      const scheduler = await createGuessing(4);
      const ids: number[] = [];
      let joined: Promise<number[]> | undefined;
      let guessed = 0;
      const onEnd = ({ guessedTokens }: SequenceSummary): void => void (guessed = guessedTokens);
      for await (const { id } of scheduler.generate({ ...first, onEnd })) {
        ids.push(id);
        if (ids.length === 10) joined = generateIds(scheduler, second);
      }
      expect(await joined).toEqual(alone[1]);
      expect(ids).toEqual(alone[0]);
      expect(guessed).toBeGreaterThan(0);
    });
  });
});
