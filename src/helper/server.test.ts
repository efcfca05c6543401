/** What the helper does for those who may use it; `attacks.test.ts` has the others. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import OpenAI from 'openai';
import { describe, expect, it, vi } from 'vitest';
import type { PairGrant } from '../protocol/helper-http.ts';
import { ClientRegistry, ORIGIN_LIFETIME_MS } from './client-registry.ts';
import { PairingCode } from './pairing-code.ts';
import { Refusal } from './refusal.ts';
import { PAGE, startHelper, type RunningHelper } from './running-helper.test-support.ts';

// Hundreds of requests on a machine that other tests share.
vi.setConfig({ testTimeout: 60_000 });

const MESSAGES = [{ role: 'user' as const, content: 'hello' }];
const JSON_TYPE = { 'content-type': 'application/json' };

function openAi(helper: RunningHelper): OpenAI {
  return new OpenAI({ baseURL: `${helper.url}/v1`, apiKey: helper.key, maxRetries: 0 });
}

describe('the helper', () => {
  it('streams to the end with usage, and says [DONE]', async () => {
    await using helper = await startHelper();
    const { status, headers, text } = await helper.chat({
      messages: MESSAGES,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'access-control-allow-origin': PAGE,
    });
    const events = text
      .trim()
      .split('\n\n')
      .map((event) => event.replace('data: ', ''));
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event) as OpenAI.ChatCompletionChunk);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('1 2 3 ');
    expect(chunks.at(-1)?.usage).toMatchObject({ completion_tokens: 3 });
  });

  it('gives a fault of the request its status, also when it was to be streamed', async () => {
    await using helper = await startHelper();
    const request = { messages: [{ role: 'user', content: 'fail' }] };
    for (const stream of [false, true]) {
      const { status, json } = await helper.chat({ ...request, stream });
      expect(status).toBe(400);
      expect(json()).toMatchObject({
        error: { code: 'context_length_exceeded', autoglm: { code: 'prompt-too-long', cure: 'Cut it.' } },
      });
    }
  });

  it('ends a stream that breaks off with the fault as its last event', async () => {
    await using helper = await startHelper();
    const stream = await openAi(helper).chat.completions.create({
      model: 'scripted',
      messages: [{ role: 'user', content: 'break' }],
      stream: true,
    });
    let text = '';
    await expect(async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    }).rejects.toThrow('The GPU went away.');
    expect(text).toBe('1 ');
  });

  it('stops the engine when the client leaves, in a stream and in a plain answer', async () => {
    await using helper = await startHelper();
    helper.engine.delayMs = 5;
    for (const stream of [true, false]) {
      const abort = new AbortController();
      const seen = helper.engine.aborted;
      const answer = openAi(helper)
        .chat.completions.create(
          { model: 'scripted', messages: MESSAGES, stream, max_tokens: 10_000 },
          { signal: abort.signal },
        )
        .then(async (result) => {
          if (Symbol.asyncIterator in result) for await (const _ of result) abort.abort();
        });
      if (!stream) {
        await until(() => helper.engine.running === 1);
        abort.abort();
      }
      await answer.catch(() => {});
      await until(() => helper.engine.aborted === seen + 1);
      expect(helper.engine.running).toBe(0);
    }
  });

  it('lists the model with what it runs on', async () => {
    await using helper = await startHelper();
    const models = await openAi(helper).models.list();
    expect(models.data).toMatchObject([
      { id: 'scripted', object: 'model', max_model_len: 64, autoglm: { backend: 'webgpu' } },
    ]);
    expect((await openAi(helper).models.retrieve('scripted')).id).toBe('scripted');
  });

  it('tells its health: to everybody whether it is ready, to its clients on what', async () => {
    await using helper = await startHelper();
    expect((await helper.ask({ path: '/health' })).json()).toEqual({ status: 'ready' });
    const known = await helper.ask({ path: '/health', headers: { authorization: `Bearer ${helper.key}` } });
    expect(known.json()).toMatchObject({ status: 'ready', running: 0, model: { id: 'scripted' } });
  });

  it('counts what it does', async () => {
    await using helper = await startHelper();
    await helper.chat({ messages: MESSAGES });
    const streamed = await helper.chat({ messages: MESSAGES, stream: true });
    expect(streamed.text).not.toContain('usage');
    await helper.chat({ messages: MESSAGES }, { headers: { origin: 'https://evil.example' } });
    const { text } = await helper.ask({
      path: '/metrics',
      headers: { authorization: `Bearer ${helper.key}` },
    });
    expect(text).toContain('autoglm_requests_total{route="/v1/chat/completions",status="200"} 2');
    expect(text).toContain('autoglm_requests_total{route="/v1/chat/completions",status="403"} 1');
    expect(text).toContain('autoglm_refusals_total{reason="foreign-origin"} 1');
    expect(text).toContain('autoglm_tokens_total{kind="completion"} 6');
    expect(text).toContain('autoglm_time_to_first_token_seconds_count 2');
    expect(text).toContain('autoglm_kv_cache_tokens 7');
    expect(text).toContain('autoglm_gpu_bytes 1024');
  });

  it('lets an answer end when it is stopped, and turns away what comes or waits', async () => {
    await using helper = await startHelper({ running: 1 });
    helper.engine.delayMs = 30;
    const request = { messages: MESSAGES, stream: true, max_tokens: 20 };
    const running = helper.chat(request);
    await until(() => helper.engine.running === 1);
    const waiting = helper.chat(request);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const closing = helper.server.close(10_000);
    expect((await waiting).status).toBe(503);
    expect((await helper.chat(request)).status).toBe(503);
    expect((await running).text).toContain('20 ');
    expect((await running).text).toContain('[DONE]');
    await closing;
    await expect(helper.ask({ path: '/health' })).rejects.toThrow('ECONNREFUSED');
  });

  it('tells a stream that is still running at the end of its time why it breaks off', async () => {
    await using helper = await startHelper();
    helper.engine.delayMs = 10;
    const running = helper.chat({ messages: MESSAGES, stream: true, max_tokens: 100_000 });
    await until(() => helper.engine.running === 1);
    await helper.server.close(100);
    const { text } = await running;
    expect(text).toContain('"code":"helper_unreachable"');
    expect(text).not.toContain('[DONE]');
    expect(helper.engine.running).toBe(0);
  });

  it('ends an answer that its client does not read', async () => {
    await using helper = await startHelper({ stallTimeoutMs: 200 });
    helper.engine.padding = 'x'.repeat(100_000);
    const headers = { ...JSON_TYPE, authorization: `Bearer ${helper.key}` };
    const request = httpRequest(
      { port: helper.port, method: 'POST', path: '/v1/chat/completions', headers },
      (response) => void response.pause(),
    );
    request.on('error', () => {});
    // 1 GB, far more than the sockets hold.
    request.end(JSON.stringify({ messages: MESSAGES, stream: true, max_tokens: 10_000 }));
    await until(() => helper.engine.running === 1);
    await until(() => helper.engine.aborted === 1);
    expect(helper.engine.running).toBe(0);
  });
});

describe('linking', () => {
  const approve = (helper: RunningHelper, origin: string, code: string) =>
    helper.ask({
      method: 'POST',
      path: '/pair/approve',
      headers: { ...JSON_TYPE, origin: helper.url },
      body: JSON.stringify({ origin, code }),
    });

  it("links the origin that the user approves on the helper's own page, once for a code", async () => {
    await using helper = await startHelper();
    const origin = 'https://new.example';
    const code = helper.pairing.current;
    const granted = await approve(helper, origin, code);
    const { token } = granted.json() as unknown as PairGrant;
    expect(granted.status).toBe(200);
    expect(granted.headers['access-control-allow-origin']).toBeUndefined();
    const headers = { origin, authorization: `Bearer ${token}` };
    expect((await helper.chat({ messages: MESSAGES }, { headers })).status).toBe(200);
    expect((await approve(helper, origin, code)).status).toBe(403);
  });

  it('links a page that knows the code, by a preflight that only the right code passes', async () => {
    await using helper = await startHelper();
    const origin = 'https://new.example';
    const claim = (code: string, method: string) =>
      helper.ask({
        method,
        path: `/pair/claim?code=${code}`,
        headers: { ...JSON_TYPE, origin, 'access-control-request-method': 'POST' },
        ...(method === 'POST' && { body: '{}' }),
      });
    const code = helper.pairing.current;
    const refused = await claim('12345', 'OPTIONS');
    expect(refused.status).toBe(403);
    expect(refused.headers['access-control-allow-origin']).toBeUndefined();
    const preflight = await claim(code, 'OPTIONS');
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-max-age': '0',
    });
    const granted = await claim(code, 'POST');
    expect(granted.headers['access-control-allow-origin']).toBe(origin);
    const { token } = granted.json() as unknown as PairGrant;
    const headers = { origin, authorization: `Bearer ${token}` };
    expect((await helper.chat({ messages: MESSAGES }, { headers })).status).toBe(200);
    expect((await claim(code, 'POST')).status).toBe(403);
  });

  it('serves a pairing page that nobody can frame and that runs nothing inline', async () => {
    await using helper = await startHelper();
    const page = await helper.ask({ path: '/pair?origin=https://evil.example%3Cscript%3E' });
    expect(page.status).toBe(200);
    expect(page.text).not.toContain('evil');
    expect(page.text).not.toMatch(/<script(?![^>]*src=)| on\w+=/);
    expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(page.headers).toMatchObject({ 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' });
  });
});

describe('ClientRegistry', () => {
  it('keeps hashes alone, in a file that only the user can read', async () => {
    await using helper = await startHelper();
    const { token } = helper.registry.issue('program', 'my-script');
    const path = join(helper.folder, 'clients.json');
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain(token);
    expect(text).toContain(createHash('sha256').update(token).digest('hex'));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('sees at once what another process revokes', async () => {
    await using helper = await startHelper();
    const { token } = helper.registry.issue('program', 'my-script');
    const headers = { authorization: `Bearer ${token}` };
    expect((await helper.ask({ path: '/v1/models', headers })).status).toBe(200);
    expect(new ClientRegistry(helper.folder).revoke('my-script')).toBe(1);
    expect((await helper.ask({ path: '/v1/models', headers })).status).toBe(401);
  });

  it('forgets links whose time is over', async () => {
    await using helper = await startHelper();
    let now = 1000;
    const registry = new ClientRegistry(helper.folder, () => now);
    const { token } = registry.issue('origin', 'https://old.example');
    expect(registry.find(token)?.name).toBe('https://old.example');
    now += ORIGIN_LIFETIME_MS;
    expect(registry.find(token)).toBeUndefined();
    expect(registry.hasOrigin('https://old.example')).toBe(false);
  });
});

describe('PairingCode', () => {
  it('locks for twice as long each time, until a code is right', () => {
    let now = 0;
    const codes: string[] = [];
    const pairing = new PairingCode(
      (code) => codes.push(code),
      () => now,
    );
    const failFive = (): void => {
      for (let count = 0; count < 5; count++) expect(() => pairing.check('wrong')).toThrow(Refusal);
    };
    for (const seconds of [30, 60, 120]) {
      failFive();
      now += seconds * 1000 - 1;
      expect(() => pairing.check(pairing.current)).toThrow('Too many wrong codes');
      now += 1;
    }
    pairing.redeem(pairing.current);
    expect(codes).toHaveLength(4);
    failFive();
    now += 30_000;
    pairing.check(pairing.current);
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('It did not become true in time.');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
