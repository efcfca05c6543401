/** The page's end of HTTP against the real server: `HttpEngine` as helper and as remote, and a model handed over. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openHelperEngine, openRemoteEngine } from '../engine/helper-engine.ts';
import { HttpConnection, HttpEngine } from '../engine/http-engine.ts';
import type { ChatCompletionChunk } from '../engine/openai.ts';
import { startHelper, type RunningHelper } from './running-helper.test-support.ts';

// Hundreds of requests on a machine that other tests share.
vi.setConfig({ testTimeout: 60_000 });

const REASON = { code: 'asked-for', text: 'A test.' } as const;
const REQUEST = { messages: [{ role: 'user', content: 'count' }], stream: true } as const;

function open(helper: RunningHelper, model = 'https://page.example/models/scripted/') {
  return openHelperEngine({ model, helperUrl: helper.url, helperToken: helper.key }, REASON);
}

async function textOf(chunks: AsyncIterable<ChatCompletionChunk>): Promise<string> {
  let text = '';
  for await (const { choices } of chunks) text += choices[0]?.delta.content ?? '';
  return text;
}

describe('HttpEngine', () => {
  it("answers through the helper, with the helper's own facts", async () => {
    await using helper = await startHelper();
    const engine = await open(helper);
    expect(engine.info).toMatchObject({
      model: 'scripted',
      backend: 'helper',
      contextWindow: 64,
      reason: REASON,
    });
    expect(await textOf(await engine.chat.completions.create(REQUEST))).toBe('1 2 3 ');
    const whole = await engine.chat.completions.create({ messages: REQUEST.messages });
    expect(whole.choices[0]?.message.content).toBe('1 2 3 ');
  });

  it('takes any OpenAI-compatible server as a remote, and names the models that it has', async () => {
    await using helper = await startHelper();
    const options = { helperUrl: `${helper.url}/v1/`, apiKey: helper.key };
    const engine = await openRemoteEngine({ ...options, model: 'scripted' });
    expect(engine.info).toMatchObject({
      backend: 'remote',
      contextWindow: 64,
      adapter: `127.0.0.1:${helper.port}`,
    });
    expect(await textOf(await engine.chat.completions.create(REQUEST))).toBe('1 2 3 ');
    await expect(openRemoteEngine({ ...options, model: 'other' })).rejects.toMatchObject({
      code: 'model-unknown',
      limit: 'scripted',
    });
    await expect(openRemoteEngine({ ...options, apiKey: 'wrong', model: 'scripted' })).rejects.toMatchObject({
      code: 'http-status',
    });
  });

  it('lets a helper compute ahead, of which a client has one at a time', async () => {
    await using helper = await startHelper();
    const engine = await open(helper);
    const summary = { promptTokens: 3, cachedTokens: 1, computedTokens: 2 };
    const nothing = { promptTokens: 0, cachedTokens: 0, computedTokens: 0 };
    const request = {
      messages: [{ role: 'system', content: 'Be brief.' }],
      next: 'image',
      replaces: 'c',
    } as const;
    expect(await engine.prefill(request)).toEqual(summary);
    expect(helper.engine.prefills).toEqual([request]);
    const slow = engine.prefill({ messages: [{ role: 'system', content: 'slow' }] });
    await until(() => helper.engine.prefills.length === 2);
    expect(await engine.prefill(request)).toEqual(summary);
    expect(await slow).toEqual(nothing);
    const url = 'https://page.example/a.png';
    const json = { 'content-type': 'application/json' };
    const linked = { ...json, authorization: `Bearer ${helper.key}` };
    const body = JSON.stringify({
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    });
    const path = '/v1/autoglm/prefill';
    expect((await helper.ask({ method: 'POST', path, headers: linked, body })).status).toBe(400);
    expect((await helper.ask({ method: 'POST', path, headers: json, body })).status).toBe(401);
    expect(helper.engine.prefills).toHaveLength(3);
  });

  it('asks no server for it that does not know how', async () => {
    await using helper = await startHelper();
    const request = { messages: [{ role: 'system', content: 'Be brief.' }] } as const;
    const nothing = { promptTokens: 0, cachedTokens: 0, computedTokens: 0 };
    const remote = await openRemoteEngine({ helperUrl: helper.url, apiKey: helper.key, model: 'scripted' });
    expect(await remote.prefill(request)).toEqual(nothing);
    expect(helper.engine.prefills).toEqual([]);
    // As a helper of an older version: no such route.
    const connection = new HttpConnection({ face: 'helper', url: `${helper.url}/old`, token: helper.key });
    expect(await new HttpEngine(connection, remote.info).prefill(request)).toEqual(nothing);
  });

  it("throws the engine's own faults, from a call and from the middle of a stream", async () => {
    await using helper = await startHelper();
    const engine = await open(helper);
    const fail = { ...REQUEST, messages: [{ role: 'user', content: 'fail' }] } as const;
    await expect(engine.chat.completions.create(fail)).rejects.toMatchObject({
      code: 'prompt-too-long',
      cure: 'Cut it.',
    });
    const stream = await engine.chat.completions.create({
      ...REQUEST,
      messages: [{ role: 'user', content: 'break' }],
    });
    await expect(textOf(stream)).rejects.toMatchObject({ code: 'device-lost' });
  });

  it('stops the helper when the reader leaves, when the signal aborts and when it is unloaded', async () => {
    await using helper = await startHelper();
    helper.engine.delayMs = 5;
    const endless = { ...REQUEST, max_tokens: 100_000 };
    const engine = await open(helper);
    for await (const { choices } of await engine.chat.completions.create(endless)) {
      if (choices[0]?.delta.content) break;
    }
    await until(() => helper.engine.aborted === 1);
    const abort = new AbortController();
    const aborted = textOf(await engine.chat.completions.create(endless, { signal: abort.signal }));
    abort.abort();
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
    await until(() => helper.engine.aborted === 2);
    const unloaded = textOf(await engine.chat.completions.create(endless));
    await engine.unload();
    await expect(unloaded).rejects.toMatchObject({ code: 'engine-unloaded' });
    await until(() => helper.engine.aborted === 3);
  });

  it('tells an unlinked page, a missing helper and one that stops from each other', async () => {
    await using helper = await startHelper();
    const options = { model: 'scripted', helperUrl: helper.url };
    await expect(openHelperEngine(options, REASON)).rejects.toMatchObject({ code: 'helper-unlinked' });
    await expect(openHelperEngine({ ...options, helperToken: 'x' }, REASON)).rejects.toMatchObject({
      code: 'helper-unlinked',
    });
    const engine = await open(helper);
    helper.engine.delayMs = 5;
    const stream = await engine.chat.completions.create({ ...REQUEST, max_tokens: 100_000 });
    const reading = textOf(stream);
    await until(() => helper.engine.running === 1);
    const failing = expect(reading).rejects.toMatchObject({ code: 'helper-unreachable' });
    await helper.server.close();
    await failing;
    await expect(open(helper)).rejects.toMatchObject({ code: 'helper-unreachable' });
  });
});

describe('a model that a page hands over', () => {
  const SHARD = Buffer.alloc(64, 7);
  const offer = (name: string, bytes = SHARD) => ({
    name,
    files: {
      'config.json': '{}',
      'tensor-cache.json': JSON.stringify({
        metadata: {},
        records: [
          {
            dataPath: 'params_shard_0.bin',
            format: 'raw-shard',
            nbytes: bytes.length,
            sha256: createHash('sha256').update(bytes).digest('hex'),
            records: [],
          },
        ],
      }),
    },
  });
  const ask = (helper: RunningHelper, method: string, path: string, body: string | Buffer) =>
    helper.ask({
      method,
      path,
      body,
      headers: {
        authorization: `Bearer ${helper.key}`,
        'content-type': method === 'PUT' ? 'application/octet-stream' : 'application/json',
      },
    });

  it('is kept when every shard is what its hash says, and asked for only once', async () => {
    await using helper = await startHelper();
    const offered = await ask(helper, 'POST', '/v1/autoglm/models', JSON.stringify(offer('tiny')));
    const { id, missing } = offered.json() as unknown as { id: string; missing: string[] };
    expect(missing).toEqual(['params_shard_0.bin']);
    const path = `/v1/autoglm/models/${id}/params_shard_0.bin`;
    const file = join(helper.folder, 'models', id, 'tiny', 'params_shard_0.bin');

    for (const wrong of [Buffer.alloc(64, 8), Buffer.alloc(63, 7), Buffer.alloc(65, 7)]) {
      expect((await ask(helper, 'PUT', path, wrong)).status).toBe(400);
      expect(existsSync(file)).toBe(false);
    }
    expect((await ask(helper, 'POST', `/v1/autoglm/models/${id}/load`, '{}')).status).toBe(409);
    expect((await ask(helper, 'PUT', `/v1/autoglm/models/${id}/other.bin`, SHARD)).status).toBe(404);

    expect((await ask(helper, 'PUT', path, SHARD)).status).toBe(204);
    expect(readFileSync(file)).toEqual(SHARD);
    const again = await ask(helper, 'POST', '/v1/autoglm/models', JSON.stringify(offer('tiny')));
    expect(again.json()).toEqual({ id, missing: [] });
    expect((await ask(helper, 'POST', `/v1/autoglm/models/${id}/load`, '{}')).status).toBe(200);

    writeFileSync(file, 'cut short');
    const repaired = await ask(helper, 'POST', '/v1/autoglm/models', JSON.stringify(offer('tiny')));
    expect(repaired.json()).toMatchObject({ missing: ['params_shard_0.bin'] });
  });

  it('is not taken without hashes, nor in place of a model that answers', async () => {
    await using helper = await startHelper();
    const unhashed = offer('tiny');
    const files = { ...unhashed.files };
    files['tensor-cache.json'] = files['tensor-cache.json'].replace(/,"sha256":"\w+"/, '');
    const refused = await ask(helper, 'POST', '/v1/autoglm/models', JSON.stringify({ name: 'tiny', files }));
    expect(refused.status).toBe(400);

    const offered = await ask(helper, 'POST', '/v1/autoglm/models', JSON.stringify(offer('tiny')));
    const { id } = offered.json() as unknown as { id: string };
    await ask(helper, 'PUT', `/v1/autoglm/models/${id}/params_shard_0.bin`, SHARD);
    helper.engine.delayMs = 20;
    const running = helper.chat({ ...REQUEST, max_tokens: 10 });
    await until(() => helper.engine.running === 1);
    expect((await ask(helper, 'POST', `/v1/autoglm/models/${id}/load`, '{}')).status).toBe(409);
    expect((await running).text).toContain('[DONE]');
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('It did not become true in time.');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
