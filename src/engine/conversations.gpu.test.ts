/** Conversations on the embedded model: together and apart, cloned, saved and brought back, interrupted and unloaded. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAbortError } from '../base/errors.ts';
import { compileSteps } from '../model/scheduler.test-support.ts';
import type { AnswerMetrics } from './answer.ts';
import { EMBEDDED_MODEL, toDataUrl } from './embedded-model.test-support.ts';
import type { LocalEngine } from './local-engine.ts';
import type { ChatCompletionRequest, ChatMessage } from './openai.ts';
import { openNodeEngine, type NodeEngineOptions } from './open-node-engine.ts';
import { createRandom } from './soak.test-support.ts';

const SYSTEM: ChatMessage = { role: 'system', content: 'You are a phone agent. Reply with one action.' };
const WORDS = [
  'Open',
  'Maps',
  'the',
  'settings',
  'and',
  'go',
  'back',
  'please',
  'tap',
  'Wi-Fi',
  'now',
  'home',
];

let folder: string;
let engine: LocalEngine;
/** As another process that shares nothing but the folder; the last test unloads it. */
let other: LocalEngine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'autoglm-sessions-'));
  engine = await load();
  other = await load();
});
afterAll(async () => {
  await engine?.unload();
  await other?.unload();
  await rm(folder, { recursive: true, force: true });
});

function load(options: Partial<NodeEngineOptions> = {}): Promise<LocalEngine> {
  return openNodeEngine({
    model: EMBEDDED_MODEL,
    contextWindow: 256,
    sessionFolder: folder,
    device: { toggles: ['disable_workgroup_init'] },
    ...options,
  });
}

type Fields = Omit<ChatCompletionRequest, 'messages' | 'stream'>;

async function textOf(messages: readonly ChatMessage[], fields: Fields): Promise<string> {
  const { choices } = await engine.chat.completions.create({ messages, ...fields });
  return choices[0]?.message.content ?? '';
}

async function streamedText(messages: readonly ChatMessage[], fields: Fields): Promise<string> {
  const stream = await engine.chat.completions.create({ messages, ...fields, stream: true });
  let text = '';
  for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
  return text;
}

/** Random short conversations and fields, from a seed. */
function randomRequests(count: number, seed: number): { messages: ChatMessage[]; fields: Fields }[] {
  const random = createRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  return Array.from({ length: count }, () => ({
    messages: [SYSTEM, { role: 'user', content: Array.from({ length: 3 }, () => pick(WORDS)).join(' ') }],
    fields: {
      max_tokens: 4 + Math.floor(random() * 8),
      temperature: pick([0, 0.7, 2]),
      seed: Math.floor(random() * 1e6),
      top_p: pick([1, 0.9]),
      ...(random() < 0.3 ? { stop: ['"', 'e'] } : {}),
      ...(random() < 0.3 ? { frequency_penalty: 0.5 } : {}),
    },
  }));
}

describe('any request', () => {
  const requests = randomRequests(4, 1);

  it('gives one text: streamed or not, twice, alone or with three others', async () => {
    const alone: string[] = [];
    for (const { messages, fields } of requests) alone.push(await textOf(messages, fields));
    const plain = await Promise.all(requests.map(({ messages, fields }) => textOf(messages, fields)));
    expect(plain).toEqual(alone);
    const streamed = await Promise.all(
      requests.map(({ messages, fields }) => streamedText(messages, fields)),
    );
    expect(streamed).toEqual(plain);
  });

  it('gives as its n choices what so many seeds give', async () => {
    const messages: ChatMessage[] = [SYSTEM, { role: 'user', content: 'Tap home now' }];
    const fields = { temperature: 2, max_tokens: 6, seed: 41 };
    const { choices } = await engine.chat.completions.create({ messages, ...fields, n: 4 });
    const texts = choices.map(({ message }) => message.content);
    expect(new Set(texts).size).toBeGreaterThan(1);
    const single = [0, 1, 2, 3].map((index) => textOf(messages, { ...fields, seed: 41 + index }));
    expect(await Promise.all(single)).toEqual(texts);
  });

  it('tells in its usage and to listeners where its time went', async () => {
    await compileSteps(engine.model, 3);
    const seen: AnswerMetrics[] = [];
    const forget = engine.onMetrics((metrics) => seen.push(metrics));
    const [{ messages }] = requests as [(typeof requests)[0]];
    const completions = await Promise.all(
      [0, 1, 2].map((index) =>
        engine.chat.completions.create({
          messages: [...messages, { role: 'user', content: `number ${index}` }],
          temperature: 0,
          max_tokens: 8,
          ignore_eos: true,
        }),
      ),
    );
    forget();
    expect(seen).toHaveLength(3);
    for (const { usage } of completions) {
      expect(usage.extra?.meanBatch).toBeGreaterThan(1);
      expect(usage.extra?.prefillMs).toBeGreaterThan(0);
      expect(usage.extra?.decodeMs).toBeGreaterThan(0);
      expect(usage.extra?.queueMs).toBeGreaterThanOrEqual(0);
      expect(usage.extra?.cachedTokens).toBeGreaterThanOrEqual(0);
    }
    expect(
      seen.every(({ outcome, completionTokens }) => outcome === 'length' && completionTokens === 8),
    ).toBe(true);
  });
});

describe('a session', () => {
  const GREEDY = { temperature: 0, max_tokens: 8, ignore_eos: true } as const;

  it('goes on in a clone and in a branch as if everything had been computed anew', async () => {
    const session = engine.sessions.create({ messages: [SYSTEM], request: GREEDY });
    await session.send('Open the settings.');
    await session.send('Go back.');
    const clone = session.clone();
    const branch = session.branch(3);
    const inClone = await clone.send('And now Maps.');
    const inBranch = await branch.send('And now Maps.');
    const inSession = await session.send('Something else.');
    expect(session.messages).toHaveLength(7);
    expect(branch.messages).toHaveLength(5);
    for (const [messages, completion] of [
      [clone.messages, inClone],
      [branch.messages, inBranch],
      [session.messages, inSession],
    ] as const) {
      const request = { messages: messages.slice(0, -1), ...GREEDY };
      const anew = await other.chat.completions.create(request);
      expect(completion.choices[0]?.message.content).toBe(anew.choices[0]?.message.content);
    }
    expect(inClone.usage.extra?.cachedTokens).toBeGreaterThan(30);
  });

  it('is brought back by the next process without computing it again, picture and all', async () => {
    const image = { type: 'image_url', image_url: { url: await createPicture() } } as const;
    const session = engine.sessions.create({ id: 'kept', messages: [SYSTEM], request: GREEDY });
    await session.send([image, { type: 'text', text: 'What is this?' }]);
    const saved = await session.save();
    expect(saved.tokenCount).toBeGreaterThan(30);
    expect(await engine.sessions.list()).toEqual([saved]);
    const expected = await session.send('Go on.');
    const restored = await other.sessions.restore('kept', { request: GREEDY });
    expect(restored.messages).toHaveLength(3);
    const actual = await restored.send('Go on.');
    expect(actual.choices).toEqual(expected.choices);
    expect(actual.usage.extra?.cachedTokens).toBeGreaterThanOrEqual(saved.tokenCount);
    expect(actual.usage.extra?.cachedTokens).toBe(expected.usage.extra?.cachedTokens);
  });

  it('is not brought back where it does not fit, is damaged or missing, and nothing breaks', async () => {
    const session = engine.sessions.create({ id: 'odd', messages: [SYSTEM], request: GREEDY });
    await session.send('Open Maps.');
    await session.save();
    const wider = await load({ cacheFormat: 'f32', contextWindow: 256 });
    try {
      await expect(wider.sessions.restore('odd')).rejects.toMatchObject({
        code: 'session-mismatch',
        value: 'f16',
        limit: 'f32',
      });
    } finally {
      await wider.unload();
    }
    const layer = (await readdir(folder)).find(
      (file) => file.includes('odd') && file.endsWith('.bin'),
    ) as string;
    const bytes = await readFile(join(folder, layer));
    bytes[5] = (bytes[5] as number) ^ 1;
    await writeFile(join(folder, layer), bytes);
    await expect(other.sessions.restore('odd')).rejects.toMatchObject({ code: 'session-corrupt' });
    await expect(other.sessions.restore('never')).rejects.toMatchObject({ code: 'session-missing' });
    const anew = await other.sessions.create({ messages: [SYSTEM], request: GREEDY }).send('Open Maps.');
    expect(anew.choices[0]?.message.content).toBe(session.messages.at(-1)?.content);
    expect(other.load).toEqual({ waiting: 0, active: 0 });
    await engine.sessions.delete('odd');
    expect((await engine.sessions.list()).map(({ id }) => id)).not.toContain('odd');
    expect((await readdir(folder)).filter((file) => file.includes('odd'))).toEqual([]);
  });

  it('forgets its oldest turns when it must, and answers on', async () => {
    const request = { temperature: 0, max_tokens: 4, ignore_eos: true };
    const session = engine.sessions.create({ messages: [SYSTEM], request, contextShift: 'drop-oldest' });
    const long = Array.from({ length: 25 }, (_, index) => `step ${index}`).join(', ');
    for (let turn = 0; turn < 4; turn++) await session.send(`${turn}: ${long}`);
    expect(session.messages[0]).toEqual(SYSTEM);
    expect(session.messages.length).toBeLessThan(9);
    expect(session.messages.at(-2)?.content).toMatch(/^3: /);
    const strict = engine.sessions.create({ messages: session.messages, request });
    await expect(strict.send(`${long} ${long} ${long}`)).rejects.toMatchObject({ code: 'prompt-too-long' });
    expect(strict.messages).toEqual(session.messages);
  });

  it('answers one message at a time, and streams', async () => {
    const session = engine.sessions.create({ messages: [SYSTEM], request: GREEDY });
    const first = session.send('Open Maps.');
    await expect(session.send('And more.')).rejects.toMatchObject({ code: 'engine-busy' });
    await first;
    for await (const { choices } of session.stream('Leave.')) if (choices[0]?.delta.content) break;
    expect(session.messages).toHaveLength(3);
    let text = '';
    for await (const { choices } of session.stream('Stay.')) text += choices[0]?.delta.content ?? '';
    expect(session.messages.at(-1)).toEqual({ role: 'assistant', content: text });
  });
});

describe('stopping', () => {
  const messages: ChatMessage[] = [SYSTEM, { role: 'user', content: 'Open the settings.' }];
  const ENDLESS = { messages, temperature: 0, ignore_eos: true, stream: true } as const;

  /** Work is on the device as long as an answer is active; when none is, the queue is empty at once. */
  async function expectIdle(): Promise<void> {
    expect(engine.load).toEqual({ waiting: 0, active: 0 });
    const { device } = engine.model;
    await device.idle();
    const startedAt = performance.now();
    await device.idle();
    expect(performance.now() - startedAt).toBeLessThan(1000);
  }

  it('leaves nothing on the device when a reader leaves or aborts', async () => {
    for await (const { choices } of await engine.chat.completions.create(ENDLESS)) {
      if (choices[0]?.delta.content) break;
    }
    await expectIdle();
    const controller = new AbortController();
    const stream = await engine.chat.completions.create(ENDLESS, { signal: controller.signal });
    const read = async (): Promise<void> => {
      for await (const { choices } of stream) if (choices[0]?.delta.content) controller.abort();
    };
    await expect(read()).rejects.toSatisfy(isAbortError);
    await expectIdle();
  });

  it('ends all answers with what they have when it is interrupted, also those that wait', async () => {
    let chunkCount = 0;
    const read = async (): Promise<string | null | undefined> => {
      let reason: string | null | undefined;
      for await (const { choices } of await engine.chat.completions.create(ENDLESS)) {
        if (choices[0]?.delta.content && ++chunkCount === 8) engine.interruptGenerate();
        reason = choices[0]?.finish_reason ?? reason;
      }
      return reason;
    };
    const reasons = await Promise.all(Array.from({ length: 6 }, read));
    expect(new Set(reasons).size).toBe(1);
    expect(chunkCount).toBeLessThan(60);
    await expectIdle();
    expect(await textOf(messages, { temperature: 0, max_tokens: 3 })).not.toBe('');
  });

  it('ends with the engine, in whatever it is doing', async () => {
    const doomed = other;
    const { device } = doomed.model;
    const url = await createPicture();
    const image: ChatMessage = { role: 'user', content: [{ type: 'image_url', image_url: { url } }] };
    const session = doomed.sessions.create({ messages: [SYSTEM] });
    const outcomes = Promise.allSettled([
      doomed.chat.completions.create({ messages, ignore_eos: true }),
      doomed.chat.completions.create({ messages: [SYSTEM, image] }),
      doomed.chat.completions.create({ messages, n: 4, ignore_eos: true }),
      session.send('Open Maps.'),
      session.save(),
      doomed.sessions.restore('kept'),
    ]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await doomed.unload();
    expect(device.allocatedBytes).toBe(0);
    for (const outcome of (await outcomes).slice(0, 4)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'engine-unloaded' } });
    }
  });
});

/** The smallest picture that is not enlarged: 16 tokens. */
async function createPicture(): Promise<string> {
  const create = { width: 112, height: 112, channels: 3, background: '#2a6fdb' } as const;
  return toDataUrl(await sharp({ create }).png().toBuffer());
}
