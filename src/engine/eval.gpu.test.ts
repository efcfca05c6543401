/**
 * A dozen of the evaluation's cases on the embedded model: taps, rows, history, typing and chat in two languages.
 * `reference_q4` is what the reference runtime answered with the same 4-bit weights.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EMBEDDED_MODEL, readSample, toDataUrl } from './embedded-model.test-support.ts';
import type { LocalEngine } from './local-engine.ts';
import type { ChatMessage, ContentPart, GenerationTimings, Usage } from './openai.ts';
import { openNodeEngine } from './open-node-engine.ts';

interface EvalCase {
  readonly id: string;
  readonly kind: string;
  readonly messages: readonly StoredMessage[];
  readonly prompt_tokens: number;
  readonly reference_q4: { readonly text: string; readonly ids: readonly number[] };
}

interface StoredMessage {
  readonly role: ChatMessage['role'];
  readonly content: string | readonly (ContentPart | { readonly type: 'image'; readonly image: string })[];
}

const FOLDER = new URL('eval-cases/', import.meta.url);
const CASES = (await readFile(new URL('cases.jsonl', FOLDER), 'utf8'))
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as EvalCase);
/** What the CI machine, two cores without a GPU, may take for the first answer after a load. */
const FIRST_ANSWER_MS = 25_000;

let engine: LocalEngine;
let loadMs: number;
beforeAll(async () => {
  const startedAt = performance.now();
  engine = await openNodeEngine({ model: EMBEDDED_MODEL, contextWindow: 1024 });
  loadMs = performance.now() - startedAt;
});
afterAll(() => engine?.unload());

async function ask(messages: readonly ChatMessage[]): Promise<{ text: string; usage: Usage }> {
  const { choices, usage } = await engine.chat.completions.create({
    messages,
    temperature: 0,
    max_tokens: 128,
  });
  expect(choices[0].finish_reason).toBe('stop');
  return { text: choices[0].message.content, usage };
}

async function toMessage({ role, content }: StoredMessage): Promise<ChatMessage> {
  if (typeof content === 'string') return { role, content } as ChatMessage;
  const parts = content.map(async (part): Promise<ContentPart> => {
    if (part.type !== 'image') return part;
    return { type: 'image_url', image_url: { url: toDataUrl(await readFile(new URL(part.image, FOLDER))) } };
  });
  return { role, content: await Promise.all(parts) } as ChatMessage;
}

describe('the embedded model', () => {
  it('gives the first answer for a 280x560 screenshot within the time of the CI machine', async () => {
    const startedAt = performance.now();
    const { text, usage } = await ask([
      { role: 'system', content: 'You are a phone agent. Look at the screen and reply with one action.' },
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: await readSample('home.png') } },
          { type: 'text', text: 'Open Maps' },
        ],
      },
    ]);
    const answerMs = performance.now() - startedAt;
    const { visionMs, prefillMs, decodeMs } = usage.extra as GenerationTimings;
    const seconds = {
      load: loadMs,
      answer: answerMs,
      vision: visionMs,
      prefill: prefillMs,
      decode: decodeMs,
    };
    const words = Object.entries(seconds).map(([name, ms]) => `${name} ${(ms / 1000).toFixed(2)} s`);
    console.info(`${engine.info.adapter}: ${words.join(', ')}, ${usage.completion_tokens} tokens`);
    expect(text).toMatch(/do\(action="Tap", element=\[\d+,\d+\]\)/);
    expect(answerMs).toBeLessThan(FIRST_ANSWER_MS);
  });

  for (const { id, kind, messages, prompt_tokens: promptTokens, reference_q4: reference } of CASES) {
    it(`answers ${id} (${kind}) as the reference does`, async () => {
      const { text, usage } = await ask(await Promise.all(messages.map(toMessage)));
      expect(usage.prompt_tokens).toBe(promptTokens);
      // The reference prints the token that stopped it.
      expect(text).toBe(reference.text.replace(/<\/answer>$/, ''));
      expect(usage.completion_tokens).toBe(reference.ids.length);
    });
  }
});
