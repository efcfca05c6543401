/** Damaged model folders and wrong requests: each is refused with a code, the value, the limit and a cure. */
import { appendFile, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAutoglmError, type AutoglmError, type ErrorCode } from '../base/errors.ts';
import { EMBEDDED_MODEL, ModelCopy, toDataUrl } from './embedded-model.test-support.ts';
import type { LocalEngine } from './local-engine.ts';
import type { ChatCompletionRequest, ChatMessage } from './openai.ts';
import { openNodeEngine } from './open-node-engine.ts';

const CONTEXT = 128;
const SHARD = 'params_shard_0.bin';

function load(model: string): Promise<LocalEngine> {
  // Half the time of compiling on a software adapter.
  return openNodeEngine({ model, contextWindow: CONTEXT, device: { toggles: ['disable_workgroup_init'] } });
}

async function faultOf(run: Promise<unknown>): Promise<AutoglmError> {
  const outcome = await run.then(
    () => 'nothing was thrown',
    (error: unknown) => error,
  );
  if (!isAutoglmError(outcome)) throw new Error('no fault of the package', { cause: outcome });
  expect(outcome.cure, 'the cure').toBeTruthy();
  expect(outcome.message).toContain(outcome.cure);
  return outcome;
}

const GREET: ChatCompletionRequest = {
  messages: [{ role: 'user', content: 'Hello!' }],
  temperature: 0,
  max_tokens: 2,
};

async function greet(engine: LocalEngine): Promise<string> {
  const { choices } = await engine.chat.completions.create({ ...GREET, stream: false });
  return choices[0].message.content;
}

interface Manifest {
  records: { records: { name: string; shape: number[]; dtype: string }[] }[];
}

describe('a damaged model folder', () => {
  let copy: ModelCopy;
  beforeAll(async () => {
    copy = await ModelCopy.create();
  });
  afterAll(() => copy[Symbol.asyncDispose]());

  /** Each damage names the file that it changes, which is put back afterwards. */
  const DAMAGES: readonly {
    what: string;
    file: string;
    damage: (path: string) => Promise<void>;
    code: ErrorCode;
    details: Partial<Record<'value' | 'limit' | 'message', unknown>>;
  }[] = [
    {
      what: 'a missing shard',
      file: SHARD,
      damage: (path) => rename(path, `${path}.away`),
      code: 'file-missing',
      details: { value: SHARD },
    },
    {
      what: 'a truncated shard',
      file: SHARD,
      damage: (path) => truncate(path, 1_000_000),
      code: 'shard-truncated',
      details: { value: 1_000_000, limit: 7628416 },
    },
    {
      what: 'a shard with something behind it',
      file: SHARD,
      damage: (path) => appendFile(path, 'more'),
      code: 'shard-truncated',
      details: { value: 7628420, limit: 7628416 },
    },
    {
      what: 'a shard with one wrong byte',
      file: SHARD,
      damage: async (path) => {
        const bytes = await readFile(path);
        bytes[5_000_000] ^= 1;
        await writeFile(path, bytes);
      },
      code: 'shard-corrupt',
      details: { message: expect.stringContaining(SHARD) },
    },
    {
      what: 'an unknown tensor',
      file: 'tensor-cache.json',
      damage: (path) =>
        editManifest(path, ({ records: [shard] }) => {
          shard.records.push({ ...shard.records[0], name: 'model.extra.weight' });
        }),
      code: 'tensor-unknown',
      details: { value: 'model.extra.weight' },
    },
    {
      what: 'a missing tensor',
      file: 'tensor-cache.json',
      damage: (path) =>
        editManifest(path, ({ records: [shard] }) => {
          shard.records = shard.records.filter(({ name }) => name !== 'lm_head.q_scale');
        }),
      code: 'tensor-missing',
      details: { value: 'lm_head.q_scale' },
    },
    {
      what: 'a shape that contradicts the config',
      file: 'config.json',
      damage: (path) =>
        editConfig(path, (config) => {
          (config['text_config'] as Record<string, unknown>)['intermediate_size'] = 708;
        }),
      code: 'tensor-shape',
      details: { value: [1408, 32], limit: [1416, 32] },
    },
    {
      what: 'a config of another architecture',
      file: 'config.json',
      damage: (path) =>
        editConfig(path, (config) => {
          config['architectures'] = ['Qwen2VLForConditionalGeneration'];
        }),
      code: 'architecture-unsupported',
      details: { value: 'Qwen2VLForConditionalGeneration', limit: 'Glm4vForConditionalGeneration' },
    },
    {
      what: 'a config without partial_rotary_factor',
      file: 'config.json',
      damage: (path) =>
        editConfig(path, (config) => {
          delete (config['text_config'] as Record<string, unknown>)['partial_rotary_factor'];
        }),
      code: 'config-invalid',
      details: { message: expect.stringContaining('partial_rotary_factor') },
    },
    {
      what: 'a manifest that was cut short',
      file: 'tensor-cache.json',
      damage: (path) => truncate(path, 5000),
      code: 'manifest-invalid',
      details: { message: expect.stringContaining('tensor-cache.json') },
    },
    {
      what: 'no manifest',
      file: 'tensor-cache.json',
      damage: (path) => rename(path, `${path}.away`),
      code: 'file-missing',
      details: { limit: 'tensor-cache.json' },
    },
  ];

  for (const { what, file, damage, code, details } of DAMAGES) {
    it(`is refused for ${what}`, async () => {
      const original = await readFile(copy.file(file));
      await damage(copy.file(file));
      try {
        expect(await faultOf(load(copy.path))).toMatchObject({ code, ...details });
      } finally {
        await writeFile(copy.file(file), original);
      }
    });
  }

  it('is refused where there is none', async () => {
    expect(await faultOf(load('/nowhere/at-all'))).toMatchObject({ code: 'file-missing' });
  });

  it.each([[8], [4097], [100.5]])('is refused for a context window of %d tokens', async (contextWindow) => {
    const fault = await faultOf(openNodeEngine({ model: copy.path, contextWindow }));
    expect(fault).toMatchObject({ code: 'request-invalid', value: contextWindow, limit: '16 to 4096' });
  });

  it('loads and answers once it is whole again', async () => {
    const engine = await load(copy.path);
    expect(await greet(engine)).not.toBe('');
    await engine.unload();
  });
});

describe('a wrong request', () => {
  let engine: LocalEngine;
  let greeting: string;
  let tall: string;
  beforeAll(async () => {
    engine = await load(EMBEDDED_MODEL);
    greeting = await greet(engine);
    const png = await sharp({ create: { width: 4, height: 804, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    tall = toDataUrl(png);
  });
  afterAll(() => engine?.unload());

  const image = (url: string): ChatMessage[] => [
    { role: 'user', content: [{ type: 'image_url', image_url: { url } }] },
  ];
  const long = (words: number): ChatMessage[] => [
    { role: 'user', content: Array.from({ length: words }, () => 'open').join(' ') },
  ];

  const REQUESTS: readonly {
    what: string;
    request: () => unknown;
    code: ErrorCode;
    details: Partial<Record<'value' | 'limit' | 'message', unknown>>;
  }[] = [
    {
      what: 'an image that does not decode',
      request: () => ({ messages: image(toDataUrl(new TextEncoder().encode('no picture'))) }),
      code: 'image-undecodable',
      details: { value: { byteLength: 10, type: expect.stringContaining('no picture') } },
    },
    {
      what: 'an image that breaks off',
      request: () => ({ messages: image(tall.slice(0, 120)) }),
      code: 'image-undecodable',
      details: {},
    },
    {
      what: 'an image with an aspect ratio above 200',
      request: () => ({ messages: image(tall) }),
      code: 'image-aspect-ratio',
      details: { value: 201, limit: 200 },
    },
    {
      what: 'a prompt longer than the context',
      request: () => ({ messages: long(300) }),
      code: 'prompt-too-long',
      details: { value: expect.any(Number), limit: CONTEXT },
    },
    {
      what: 'no messages',
      request: () => ({}),
      code: 'request-invalid',
      details: { limit: 'a list of at least 1', message: expect.stringContaining('lacks "messages"') },
    },
    {
      what: 'empty messages',
      request: () => ({ messages: [] }),
      code: 'request-invalid',
      details: { value: 0, limit: 'a list of at least 1' },
    },
    {
      what: 'an unknown role',
      request: () => ({ messages: [{ role: 'pirate', content: 'Ahoy' }] }),
      code: 'message-invalid',
      details: { value: '"pirate"', limit: expect.stringContaining('user') },
    },
    {
      what: 'an image that is a path',
      request: () => ({ messages: image('screen.png') }),
      code: 'message-invalid',
      details: { value: 'screen.png' },
    },
    {
      what: 'a temperature in words',
      request: () => ({ ...GREET, temperature: 'hot' }),
      code: 'request-invalid',
      details: { value: 'hot' },
    },
    {
      what: 'no tokens',
      request: () => ({ ...GREET, max_tokens: 0 }),
      code: 'request-invalid',
      details: { value: 0, limit: 'an integer of at least 1' },
    },
    {
      what: 'too many alternatives',
      request: () => ({ ...GREET, logprobs: true, top_logprobs: 21 }),
      code: 'request-invalid',
      details: { value: 21 },
    },
    {
      what: 'a stop that is a number',
      request: () => ({ ...GREET, stop: 7 }),
      code: 'request-invalid',
      details: { value: 7 },
    },
  ];

  for (const { what, request, code, details } of REQUESTS) {
    it(`is refused for ${what}, plain and streamed, and a right one is answered then`, async () => {
      const { completions } = engine.chat;
      const wrong = request() as ChatCompletionRequest;
      const plain = completions.create({ ...wrong, stream: false });
      expect(await faultOf(plain)).toMatchObject({ code, ...details });
      let text = '';
      const stream = async (): Promise<void> => {
        for await (const { choices } of await completions.create({ ...wrong, stream: true })) {
          text += choices[0]?.delta.content ?? '';
        }
      };
      expect(await faultOf(stream())).toMatchObject({ code, ...details });
      expect(text).toBe('');
      expect(await greet(engine)).toBe(greeting);
    });
  }

  it('is refused for text where there is no tokenizer, while token ids are answered', async () => {
    const { tokenIds } = await engine.prompts.fromMessages(GREET.messages);
    await using copy = await ModelCopy.create();
    await copy.remove('tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja');
    const bare = await load(copy.path);
    const fault = await faultOf(bare.chat.completions.create({ ...GREET, stream: false }));
    expect(fault).toMatchObject({ code: 'tokenizer-missing', value: 'tokenizer.json' });
    expect(await answerIds(bare, tokenIds)).toEqual(await answerIds(engine, tokenIds));
    await bare.unload();
  });
});

async function answerIds(engine: LocalEngine, tokenIds: readonly number[]): Promise<number[]> {
  const ids: number[] = [];
  const prompt = engine.prompts.fromTokens(tokenIds, []);
  for await (const { id } of engine.answer(prompt, { temperature: 0, max_tokens: 3 })) ids.push(id);
  return ids;
}

async function editManifest(path: string, edit: (manifest: Manifest) => void): Promise<void> {
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
  edit(manifest);
  await writeFile(path, JSON.stringify(manifest));
}

async function editConfig(path: string, edit: (config: Record<string, unknown>) => void): Promise<void> {
  const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  edit(config);
  await writeFile(path, JSON.stringify(config));
}
