/** Prompts that are computed ahead of their requests, on the embedded model: what is computed, for whom, and what ends it. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { AgentTask } from '../agent/agent-task.ts';
import { parseReply } from '../agent/parse-reply.ts';
import { buildAssistantTurn, buildFirstTurn, buildScreenTurn, removeImages } from '../agent/prompts.ts';
import { isAbortError } from '../base/errors.ts';
import { countCommon } from '../model/kv-slots.ts';
import { toCacheKeys } from './cache-keys.ts';
import { EMBEDDED_MODEL, readSample } from './embedded-model.test-support.ts';
import type { LocalEngine } from './local-engine.ts';
import type { ChatCompletion, ChatMessage } from './openai.ts';
import { openNodeEngine } from './open-node-engine.ts';
import type { PrefillRequest, PrefillSummary } from './prefill.ts';
import { parsePrefillRequest, sampleNextMessages } from './prefill-request.ts';

const SYSTEM: ChatMessage = {
  role: 'system',
  content: 'You are a phone agent. Look at the screen and reply with one action.',
};
const TASKS = { en: 'Open Maps', zh: '打开地图' } as const;
const CONTEXT = 640;
/** Four chunks of it. */
const LONG_TEXT = 'Reply with one action. '.repeat(50);

/** One slot, as the 9B has by default: what an agent computes ahead can only take its own conversation's place. */
let engine: LocalEngine;
let home: string;
let dialog: string;
beforeAll(async () => {
  const device = { toggles: ['disable_workgroup_init'] };
  engine = await openNodeEngine({ model: EMBEDDED_MODEL, contextWindow: CONTEXT, slots: 1, device });
  [home, dialog] = await Promise.all([readSample('home.png'), readSample('dialog.png')]);
});
afterAll(() => engine?.unload());

function ask(messages: readonly ChatMessage[], on = engine): Promise<ChatCompletion> {
  return on.chat.completions.create({ messages, temperature: 0, max_tokens: 8 });
}

function cachedTokensOf({ usage }: ChatCompletion): number | undefined {
  return usage?.prompt_tokens_details?.cached_tokens;
}

/** The history of an agent behind its answer, and the request for the next screen. */
function goOn(messages: readonly ChatMessage[], answer: string, screen: string) {
  const history = [...removeImages(messages), buildAssistantTurn(parseReply(answer))];
  return { history, next: [...history, buildScreenTurn({ currentApp: 'Maps' }, screen)] };
}

/** Keys of a prompt, as the cache knows them. */
async function keysOf(messages: readonly ChatMessage[]): Promise<number[]> {
  return toCacheKeys(await engine.prompts.fromMessages(messages));
}

/** Keys of what is certain of it before its last message. */
async function certainKeysOf(messages: readonly ChatMessage[], next: 'any' | 'image'): Promise<number[]> {
  const plan = parsePrefillRequest({ messages, next });
  const prompt = await engine.prompts.fromBeginning(plan.messages, sampleNextMessages(plan.next));
  return prompt ? toCacheKeys(prompt) : [];
}

describe('what is certain of a coming prompt', () => {
  const ANSWER = '<think>想一想。</think><answer>do(action="Tap", element=[139,95])</answer>';

  for (const [language, task] of Object.entries(TASKS)) {
    it(`begins the prompts of four steps of an agent, up to the new picture (${language})`, async () => {
      let messages: readonly ChatMessage[] = [SYSTEM, buildFirstTurn(task, { currentApp: 'Home' }, home)];
      for (let step = 0; step < 4; step++) {
        const { history, next } = goOn(messages, ANSWER, step % 2 === 0 ? dialog : home);
        const certain = await certainKeysOf(history, 'image');
        const keys = await keysOf(next);
        expect(keys.slice(0, certain.length)).toEqual(certain);
        // All but the picture and what follows it.
        expect(certain).toHaveLength(keys.findIndex((key) => key < 0));
        messages = next;
      }
    });
  }

  it('has the positions of the whole prompt, also behind a picture that is kept', async () => {
    const history: ChatMessage[] = [
      SYSTEM,
      buildFirstTurn(TASKS.en, { currentApp: 'Home' }, home),
      { role: 'assistant', content: 'Which one?' },
    ];
    const whole = await engine.prompts.fromMessages([...history, { role: 'user', content: 'Any.' }]);
    const certain = await engine.prompts.fromBeginning(history, sampleNextMessages('any'));
    const count = certain?.tokenIds.length ?? 0;
    expect(count).toBeGreaterThan(200);
    expect(certain?.tokenIds).toEqual(whole.tokenIds.slice(0, count));
    expect(certain?.positions).toEqual(whole.positions.slice(0, count * 3));
  });

  it('holds for whatever text follows', async () => {
    const history: ChatMessage[] = [
      SYSTEM,
      { role: 'user', content: 'Hello\n' },
      { role: 'assistant', content: '好' },
    ];
    const certain = await certainKeysOf(history, 'any');
    for (const content of ['\n\n', ' \n x', "'s", '\u{1f642}', '<|user|>', '', '\r\n', '。']) {
      const keys = await keysOf([...history, { role: 'user', content }]);
      expect(keys.slice(0, certain.length), JSON.stringify(content)).toEqual(certain);
    }
    expect(certain.length).toBeGreaterThan((await keysOf(history)).length - 3);
  });
});

describe('Engine.prefill', () => {
  it('spares the next step of an agent its texts and leaves its answer as it is', async () => {
    let request: PrefillRequest | undefined;
    let ahead: Promise<PrefillSummary> | undefined;
    const prefill: typeof engine.prefill = (...call) => {
      [request] = call;
      ahead = engine.prefill(...call);
      return ahead;
    };
    const task = new AgentTask(
      { chat: engine.chat, prefill },
      { task: TASKS.zh, request: { max_tokens: 40 } },
    );
    const first = await task.step({ imageUrl: home, currentApp: 'Home' });
    const history = task.messages;
    const next = [...history, buildScreenTurn({ currentApp: 'Maps' }, dialog)];
    const keys = await keysOf(next);
    const beforePicture = keys.findIndex((key) => key < 0);
    const turn = buildFirstTurn(TASKS.zh, { currentApp: 'Home' }, home);
    const shared = countCommon(await keysOf([SYSTEM, turn]), keys);
    expect(request).toEqual({ messages: history, next: 'image', replaces: first.completion.id });
    const summary = await ahead;
    expect(summary).toEqual({
      promptTokens: beforePicture,
      cachedTokens: shared,
      computedTokens: beforePicture - shared,
    });
    expect(summary?.computedTokens).toBeGreaterThan(20);
    // All of it is there: nothing is computed twice.
    const again = await engine.prefill({ messages: history, next: 'image' });
    expect(again).toMatchObject({ cachedTokens: beforePicture, computedTokens: 0 });

    const second = await task.step({ imageUrl: dialog, currentApp: 'Maps' });
    expect(cachedTokensOf(second.completion)).toBe(beforePicture);
    // The same with nothing of it in the cache.
    await ask([{ role: 'user', content: 'Hi' }]);
    const plain = await engine.chat.completions.create({ messages: next, temperature: 0, max_tokens: 40 });
    expect(cachedTokensOf(plain)).toBeLessThan(5);
    expect(plain.choices).toEqual(second.completion.choices);
  });

  it('overwrites no conversation that it was not told to', async () => {
    const talk: ChatMessage[] = [SYSTEM, { role: 'user', content: 'Is the lamp on?' }];
    await ask(talk);
    const keys = await keysOf(talk);
    const other: ChatMessage[] = [{ role: 'system', content: 'Translate what you read into Chinese.' }];
    expect(await engine.prefill({ messages: other })).toMatchObject({ computedTokens: 0 });
    expect(await engine.prefill({ messages: other, replaces: 'unknown' })).toMatchObject({
      computedTokens: 0,
    });
    expect(cachedTokensOf(await ask(talk))).toBe(keys.length - 1);
  });

  it('ends within a chunk when an answer is asked for, and keeps what it has', async () => {
    const last = await ask([SYSTEM, { role: 'user', content: 'Hi' }]);
    const system: ChatMessage = { role: 'system', content: LONG_TEXT };
    const prefilling = engine.prefill({ messages: [system], replaces: last.id });
    // Its first chunk is on the device.
    await vi.waitUntil(() => engine.stats().cacheTokens >= 100, { timeout: 30_000, interval: 1 });
    const messages: ChatMessage[] = [system, { role: 'user', content: 'Hi' }];
    const [summary, answer] = await Promise.all([prefilling, ask(messages)]);
    expect(summary.computedTokens).toBeGreaterThan(0);
    expect(summary.computedTokens).toBeLessThan(summary.promptTokens);
    expect(cachedTokensOf(answer)).toBe(summary.cachedTokens + summary.computedTokens);
    expect(answer.choices).toEqual((await ask(messages)).choices);
  });

  it('waits while answers are given, and stops with its signal', async () => {
    const messages: ChatMessage[] = [SYSTEM, { role: 'user', content: 'Open the settings' }];
    const stream = await engine.chat.completions.create({ messages, ignore_eos: true, stream: true });
    const controller = new AbortController();
    let prefilling: Promise<unknown> | undefined;
    let tokenCount = 0;
    for await (const { id } of stream) {
      prefilling ??= engine.prefill(
        { messages: [{ role: 'system', content: 'Be brief.' }], replaces: id },
        controller,
      );
      if (++tokenCount === 20) expect(engine.load).toEqual({ waiting: 1, active: 1 });
      if (tokenCount === 20) break;
    }
    controller.abort();
    await expect(prefilling).rejects.toSatisfy(isAbortError);
    expect(engine.load).toEqual({ waiting: 0, active: 0 });
  });

  it('refuses what is no request', async () => {
    const prefill = (request: object) => engine.prefill(request as Parameters<typeof engine.prefill>[0]);
    await expect(prefill({})).rejects.toMatchObject({ code: 'request-invalid' });
    await expect(prefill({ messages: [], next: 'sound' })).rejects.toMatchObject({ code: 'request-invalid' });
    await expect(prefill({ messages: [], max_tokens: 1 })).rejects.toMatchObject({ code: 'request-invalid' });
  });

  it('ends with the engine', async () => {
    const prefilling = engine.prefill({ messages: [{ role: 'system', content: LONG_TEXT }] });
    const ended = expect(prefilling).rejects.toMatchObject({ code: 'engine-unloaded' });
    await engine.unload();
    await ended;
    expect(engine.model.device.allocatedBytes).toBe(0);
  });
});
