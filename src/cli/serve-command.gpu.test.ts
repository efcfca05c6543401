/** The built `autoglm serve` with the embedded model, used by the official OpenAI client and by signals. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI, { AuthenticationError, BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EMBEDDED_MODEL, readSample } from '../engine/embedded-model.test-support.ts';
import type { ServeEvent } from '../helper/serve.ts';
import { buildCli, type BuiltCli } from './built-cli.test-support.ts';

const MODEL = 'autoglm-tiny-q4f16_1';
const JOKE = [{ role: 'user' as const, content: 'Tell me a joke' }];

type EventOf<Type extends ServeEvent['type']> = Extract<ServeEvent, { type: Type }>;

/** One `autoglm serve` process. */
class Serving implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly #events: ServeEvent[] = [];
  readonly #wakers = new Set<() => void>();
  readonly ended: Promise<number | null>;

  constructor(program: string, env: NodeJS.ProcessEnv) {
    const args = [
      program,
      'serve',
      '--model',
      EMBEDDED_MODEL,
      '--port',
      '0',
      '--json',
      '--context',
      '2048',
      '--parallel',
      '2',
    ];
    this.process = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      this.#events.push(JSON.parse(line) as ServeEvent);
      for (const wake of this.#wakers) wake();
    });
    this.ended = new Promise((resolve) => this.process.once('exit', (code) => resolve(code)));
  }

  async event<Type extends ServeEvent['type']>(type: Type): Promise<EventOf<Type>> {
    for (;;) {
      const event = this.#events.find((one) => one.type === type);
      if (event) return event as EventOf<Type>;
      await new Promise<void>((resolve, reject) => {
        this.#wakers.add(resolve);
        void this.ended.then((code) => reject(new Error(`It ended with ${code}.`)));
      });
    }
  }

  async client(): Promise<OpenAI> {
    const { url, key } = await this.event('listening');
    await this.event('ready');
    return new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended;
  }
}

describe('autoglm serve', () => {
  let cli: BuiltCli;
  let serving: Serving;
  let client: OpenAI;
  const folder = mkdtempSync(join(tmpdir(), 'autoglm-serve-'));
  const env = {
    ...process.env,
    AUTOGLM_CONFIG: join(folder, 'config'),
    AUTOGLM_CACHE: join(folder, 'cache'),
  };

  beforeAll(async () => {
    cli = await buildCli('serve');
    serving = new Serving(cli.program, env);
    client = await serving.client();
  });
  afterAll(async () => {
    await serving[Symbol.asyncDispose]();
    await cli[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const run = async (...args: string[]): Promise<{ code: number | null; stdout: string }> => {
    const child = spawn(process.execPath, [cli.program, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let stdout = '';
    child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, stdout };
  };

  it('lists its model to the OpenAI client', async () => {
    const { data } = await client.models.list();
    expect(data).toMatchObject([{ id: MODEL, object: 'model', max_model_len: 2048 }]);
  });

  it('chats and streams the same greedy text', async () => {
    const request = { model: MODEL, messages: JOKE, temperature: 0 };
    const whole = await client.chat.completions.create(request);
    expect(whole.choices[0]?.finish_reason).toBe('stop');
    expect(whole.usage?.completion_tokens).toBeGreaterThan(3);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
  });

  it('completes plain text', async () => {
    const { choices, usage } = await client.completions.create({
      model: MODEL,
      prompt: 'Open the',
      max_tokens: 3,
      temperature: 0,
    });
    expect(usage?.completion_tokens).toBeGreaterThan(0);
    expect(choices[0]?.text).not.toBe('');
  });

  it('looks at a screenshot', async () => {
    const url = await readSample('home-search.png');
    const answer = await client.chat.completions.create({
      model: MODEL,
      temperature: 0,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url, detail: 'low' } },
            { type: 'text', text: 'Open Settings and tap Language\n\n{"current_app": "System Home"}' },
          ],
        },
      ],
    });
    expect(answer.usage?.prompt_tokens).toBeGreaterThan(60);
    expect(answer.choices[0]?.message.content).toContain('do(action=');
  });

  it('stops when the client aborts, and answers the next request', async () => {
    // An extra of this server, so that the answer does not end by itself.
    const extra = { ignore_eos: true };
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: JOKE,
      stream: true,
      max_tokens: 1500,
      ...extra,
    });
    for await (const { choices } of stream) if (choices[0]?.delta.content) break;
    const { url, key } = await serving.event('listening');
    await until(async () => {
      const response = await fetch(`${url}/health`, { headers: { authorization: `Bearer ${key}` } });
      return ((await response.json()) as { running: number }).running === 0;
    });
    const next = await client.chat.completions.create({ model: MODEL, messages: JOKE, max_tokens: 2 });
    expect(next.usage?.completion_tokens).toBe(2);
  });

  it('says what is wrong in the words of the OpenAI client', async () => {
    const ask = (request: object) =>
      client.chat.completions.create({ model: MODEL, messages: JOKE, ...request } as never);
    await expect(ask({ model: 'gpt-5' })).rejects.toBeInstanceOf(NotFoundError);
    await expect(ask({ temperature: -1 })).rejects.toBeInstanceOf(BadRequestError);
    const long = [{ role: 'user', content: 'tap '.repeat(3000) }];
    await expect(ask({ messages: long, stream: true })).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
    });
    const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: 'nobody', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(AuthenticationError);
  });

  it('takes a lasting key from "autoglm pair" until "autoglm unpair"', async () => {
    const { url, code } = await serving.event('listening');
    const { stdout } = await run('pair', '--client', 'my-script', '--json');
    const { token } = JSON.parse(stdout) as { token: string };
    const program = new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0 });
    expect((await program.models.list()).data).toHaveLength(1);
    const listed = JSON.parse((await run('pair', '--json')).stdout) as object;
    expect(listed).toMatchObject({
      running: { url, code, pid: serving.process.pid },
      clients: [{ kind: 'program', name: 'my-script' }],
    });
    expect((await run('unpair', 'my-script')).code).toBe(0);
    await expect(program.models.list()).rejects.toBeInstanceOf(AuthenticationError);
    expect((await run('unpair', 'my-script')).code).toBe(2);
  });

  it('ends cleanly on SIGTERM in the middle of an answer, which comes whole', async () => {
    // The last test: it ends the process that the others used.
    // Few tokens, as the ten seconds that an answer gets are not many on a busy machine.
    const request = { model: MODEL, messages: JOKE, temperature: 0, max_tokens: 4 };
    const stream = await client.chat.completions.create({ ...request, stream: true });
    let text = '';
    let finish: string | null = null;
    for await (const { choices } of stream) {
      if (text === '' && choices[0]?.delta.content) serving.process.kill('SIGTERM');
      text += choices[0]?.delta.content ?? '';
      finish = choices[0]?.finish_reason ?? finish;
    }
    expect(finish).toBe('length');
    expect(text).not.toBe('');
    expect(await serving.ended).toBe(0);
  });
});

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error('It did not become true in time.');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
