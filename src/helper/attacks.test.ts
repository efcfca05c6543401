/** The attack table: each is refused with its status, changes nothing, and leaves a line in the log. */
import { request as httpRequest } from 'node:http';
import { createConnection } from 'node:net';
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  PAGE,
  startHelper,
  type Ask,
  type Reply,
  type RunningHelper,
} from './running-helper.test-support.ts';

// Hundreds of requests on a machine that other tests share.
vi.setConfig({ testTimeout: 60_000 });

const CHAT = { messages: [{ role: 'user', content: 'hello' }] };
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const JSON_TYPE = { 'content-type': 'application/json' };

/** The head of a PNG that says it is so large, with an IEND chunk, so that it looks whole. */
function pngOfSize(width: number, height: number): string {
  const bytes = Buffer.alloc(8 + 25 + 12 + 12);
  bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  bytes.writeUInt32BE(13, 8);
  bytes.write('IHDR', 12, 'latin1');
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  bytes.set([8, 2, 0, 0, 0], 24);
  bytes.write('IDAT', 8 + 25 + 4, 'latin1');
  bytes.write('IEND', 8 + 25 + 12 + 4, 'latin1');
  return `data:image/png;base64,${bytes.toString('base64')}`;
}

function withImage(url: string) {
  return { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] };
}

describe('the helper under attack', () => {
  let helper: RunningHelper;
  beforeAll(async () => {
    helper = await startHelper({ bodyBytes: 1024 * 1024 });
  });
  afterAll(() => helper[Symbol.asyncDispose]());

  const program = (): Record<string, string> => ({ authorization: `Bearer ${helper.key}` });
  const tokenOf = (origin: string): Record<string, string> => ({
    authorization: `Bearer ${helper.registry.issue('origin', origin).token}`,
  });
  const chat = (headers: Record<string, string>, body: unknown = CHAT): Ask => ({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { ...JSON_TYPE, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

  const attacks: readonly [name: string, ask: () => Ask, status: number, reason: string][] = [
    [
      'a wrong Host (DNS rebinding)',
      () => chat({ ...program(), host: `evil.example:${helper.port}` }),
      403,
      'wrong-host',
    ],
    [
      'a Host without the port',
      () => ({ path: '/health', headers: { host: '127.0.0.1' } }),
      403,
      'wrong-host',
    ],
    [
      'a rebound pairing page',
      () => ({ path: '/pair', headers: { host: `evil.example:${helper.port}` } }),
      403,
      'wrong-host',
    ],
    [
      'a foreign Origin',
      () => chat({ ...tokenOf(PAGE), origin: 'https://evil.example' }),
      403,
      'foreign-origin',
    ],
    [
      'a foreign Origin that only looks alike',
      () => chat({ ...tokenOf(PAGE), origin: `${PAGE}.evil.example` }),
      403,
      'foreign-origin',
    ],
    [
      'the same host by http',
      () => chat({ ...tokenOf(PAGE), origin: 'http://page.example' }),
      403,
      'foreign-origin',
    ],
    ['a null Origin', () => chat({ ...tokenOf(PAGE), origin: 'null' }), 403, 'null-origin'],
    ['no token', () => chat({ origin: PAGE }), 401, 'no-token'],
    ['no token, from a program', () => chat({}), 401, 'no-token'],
    [
      'a token that nobody has',
      () => chat({ origin: PAGE, authorization: 'Bearer x' }),
      401,
      'unknown-token',
    ],
    [
      "another origin's token",
      () => chat({ ...tokenOf('https://other.example'), origin: PAGE }),
      403,
      'other-origins-token',
    ],
    ["a page's token without its origin", () => chat(tokenOf(PAGE)), 403, 'other-origins-token'],
    ["a program's key from a page", () => chat({ ...program(), origin: PAGE }), 403, 'other-origins-token'],
    [
      'a revoked token of a page that is still linked',
      () => {
        const headers = tokenOf(PAGE);
        helper.registry.revoke(PAGE);
        helper.registry.issue('origin', PAGE);
        return chat({ ...headers, origin: PAGE });
      },
      401,
      'unknown-token',
    ],
    [
      'a page that was unlinked',
      () => {
        const headers = tokenOf('https://gone.example');
        helper.registry.revoke('https://gone.example');
        return chat({ ...headers, origin: 'https://gone.example' });
      },
      403,
      'foreign-origin',
    ],
    ...['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', ''].map(
      (type): (typeof attacks)[number] => [
        `a simple request's content type "${type}"`,
        () => chat({ ...tokenOf(PAGE), origin: PAGE, 'content-type': type }),
        415,
        'wrong-content-type',
      ],
    ),
    [
      'an oversize body',
      () => chat({ ...tokenOf(PAGE), origin: PAGE }, JSON.stringify({ ...CHAT, user: 'x'.repeat(1 << 20) })),
      413,
      'body-too-large',
    ],
    [
      'an image bomb',
      () => chat({ ...tokenOf(PAGE), origin: PAGE }, withImage(pngOfSize(100_000, 100_000))),
      400,
      'image-size',
    ],
    [
      'many large images',
      () => {
        const part = withImage(pngOfSize(7000, 9000)).messages[0];
        return chat({ ...tokenOf(PAGE), origin: PAGE }, { messages: [part, part, part] });
      },
      400,
      'image-size',
    ],
    [
      'an image at an address (SSRF)',
      () => chat({ ...tokenOf(PAGE), origin: PAGE }, withImage('http://169.254.169.254/latest')),
      400,
      'message-invalid',
    ],
    [
      'an image in a file',
      () => chat({ ...tokenOf(PAGE), origin: PAGE }, withImage('file:///etc/passwd')),
      400,
      'message-invalid',
    ],
    [
      'a body that is not JSON',
      () => chat({ ...tokenOf(PAGE), origin: PAGE }, '{"messages":'),
      400,
      'request-invalid',
    ],
    [
      'a prototype in JSON',
      () => chat({ ...tokenOf(PAGE), origin: PAGE }, '{"__proto__":{"x":1},"messages":[]}'),
      400,
      'request-invalid',
    ],
    [
      'a path as a model name in a chat',
      () => chat({ ...tokenOf(PAGE), origin: PAGE }, { ...CHAT, model: '../../../etc/passwd' }),
      404,
      'unknown-model',
    ],
    [
      'a path as a model name in a URL',
      () => ({ path: '/v1/models/..%2f..%2fetc%2fpasswd', headers: program() }),
      404,
      'unknown-model',
    ],
    [
      'a path as the name of an offered model',
      () => ({
        ...chat(program(), { name: '../../evil', files: {} }),
        path: '/v1/autoglm/models',
      }),
      400,
      'request-invalid',
    ],
    [
      'a path as the name of an offered file',
      () => ({
        ...chat(program(), { name: 'evil', files: { '../../evil.json': '{}' } }),
        path: '/v1/autoglm/models',
      }),
      400,
      'request-invalid',
    ],
    [
      'a shard of no model',
      () => ({
        method: 'PUT',
        path: `/v1/autoglm/models/${'0'.repeat(64)}/..%2f..%2fevil`,
        headers: { ...program(), 'content-type': 'application/octet-stream' },
        body: 'evil',
      }),
      404,
      'unknown-model',
    ],
    [
      'an approval from another page',
      () => ({
        ...chat({ origin: PAGE }, { origin: PAGE, code: helper.pairing.current }),
        path: '/pair/approve',
      }),
      403,
      'foreign-origin',
    ],
    [
      'an approval of a null origin',
      () => ({
        ...chat({ origin: helper.url }, { origin: 'null', code: helper.pairing.current }),
        path: '/pair/approve',
      }),
      400,
      'request-invalid',
    ],
    [
      'a claim of a null origin',
      () => ({ ...chat({ origin: 'null' }, {}), path: `/pair/claim?code=${helper.pairing.current}` }),
      403,
      'null-origin',
    ],
    ['metrics without a token', () => ({ path: '/metrics', headers: {} }), 401, 'no-token'],
    [
      'a page that reads whether a helper is there',
      () => ({ path: '/health', headers: { origin: 'https://evil.example' } }),
      403,
      'foreign-origin',
    ],
  ];

  it.each(attacks)('refuses %s', async (_, ask, status, reason) => {
    const logged = helper.reasons().length;
    const asked = helper.engine.requests.length;
    const reply = await helper.ask(ask());
    expect(reply.status, reply.text).toBe(status);
    expect(reply.headers['access-control-allow-origin'] ?? PAGE).toBe(PAGE);
    expect(reply.json()).toMatchObject({ error: { message: expect.any(String) as string } });
    expect(helper.reasons().slice(logged)).toEqual([reason]);
    expect(helper.engine.requests).toHaveLength(asked);
    if (['wrong-host', 'foreign-origin', 'null-origin'].includes(reason)) {
      expect(reply.headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it('answers no preflight but those of linked origins', async () => {
    const preflight = (origin: string): Promise<Reply> =>
      helper.ask({
        method: 'OPTIONS',
        path: '/v1/chat/completions',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type',
          'access-control-request-private-network': 'true',
        },
      });
    for (const origin of ['https://evil.example', 'null', '*']) {
      const { status, headers } = await preflight(origin);
      expect(status).toBe(403);
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
    const { status, headers } = await preflight(PAGE);
    expect(status).toBe(204);
    expect(headers).toMatchObject({
      'access-control-allow-origin': PAGE,
      'access-control-allow-headers': 'authorization, content-type',
      'access-control-allow-private-network': 'true',
      vary: 'Origin',
    });
  });

  it('serves a linked page all the while', async () => {
    const { status, headers } = await helper.ask(chat({ ...tokenOf(PAGE), origin: PAGE }));
    expect(status).toBe(200);
    expect(headers['access-control-allow-origin']).toBe(PAGE);
  });
});

describe('pairing under attack', () => {
  it('takes 1,000 wrong codes without giving a token, and locks after five', async () => {
    await using helper = await startHelper();
    const first = helper.pairing.current;
    const statuses: number[] = [];
    for (let count = 0; count < 1000; count++) {
      const wrong = String((Number(helper.pairing.current) + 1 + count) % 1_000_000).padStart(6, '0');
      const isOwnPage = count % 2 === 0;
      const { status, headers } = await helper.ask({
        method: 'POST',
        path: isOwnPage ? '/pair/approve' : `/pair/claim?code=${wrong}`,
        headers: { ...JSON_TYPE, origin: isOwnPage ? helper.url : 'https://evil.example' },
        body: JSON.stringify(isOwnPage ? { origin: 'https://evil.example', code: wrong } : {}),
      });
      statuses.push(status);
      expect(headers['access-control-allow-origin']).toBeUndefined();
      if (status === 429) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    }
    expect(statuses.slice(0, 6)).toEqual([403, 403, 403, 403, 403, 429]);
    expect(new Set(statuses.slice(5))).toEqual(new Set([429]));
    expect(helper.pairing.current).not.toBe(first);
    expect(helper.registry.list().map(({ name }) => name)).toEqual([PAGE]);
    expect(helper.reasons().filter((reason) => reason === 'wrong-code')).toHaveLength(5);
    expect(helper.reasons().filter((reason) => reason === 'pairing-locked')).toHaveLength(995);

    const right = await helper.ask({
      method: 'POST',
      path: '/pair/approve',
      headers: { ...JSON_TYPE, origin: helper.url },
      body: JSON.stringify({ origin: 'https://good.example', code: helper.pairing.current }),
    });
    expect(right.status).toBe(429);
  });
});

describe('the helper under load', () => {
  it('ends connections that send their headers too slowly', async () => {
    await using helper = await startHelper({ headersTimeoutMs: 300, checkIntervalMs: 100 });
    const sockets = Array.from({ length: 50 }, () => createConnection(helper.port, '127.0.0.1'));
    const ended = sockets.map(
      (socket) =>
        new Promise<string>((resolve) => {
          let text = '';
          socket.on('data', (piece) => (text += piece.toString()));
          socket.on('error', () => {});
          socket.on('close', () => resolve(text));
          socket.write('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n');
        }),
    );
    const drip = setInterval(
      () => sockets.forEach((socket) => socket.writable && socket.write('X-A: b\r\n')),
      50,
    );
    const answers = await Promise.all(ended);
    clearInterval(drip);
    for (const answer of answers) expect(answer).toContain(' 408 ');
    expect((await helper.chat(CHAT)).status).toBe(200);
  });

  it('ends requests that send their body too slowly', async () => {
    await using helper = await startHelper({
      requestTimeoutMs: 400,
      headersTimeoutMs: 300,
      checkIntervalMs: 100,
    });
    const socket = createConnection(helper.port, '127.0.0.1');
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:${helper.port}\r\nAuthorization: Bearer ${helper.key}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`;
    const closed = new Promise<void>((resolve) => {
      socket.on('error', () => {});
      socket.on('close', () => resolve());
    });
    socket.resume().write(head);
    await closed;
    expect(helper.engine.requests).toHaveLength(0);
  });

  it('serves or turns away 200 clients at once, and tells those when to come back', async () => {
    await using helper = await startHelper({ running: 4, waiting: 64, perClient: 16 });
    helper.engine.delayMs = 2;
    const clients = Array.from({ length: 200 }, (_, index) => `https://page${index}.example`);
    const links = clients.map((origin) => ({ origin, ...helper.registry.issue('origin', origin) }));
    const replies = await Promise.all(
      links.map(({ origin, token }) =>
        helper.chat(CHAT, { headers: { origin, authorization: `Bearer ${token}` } }),
      ),
    );
    const served = replies.filter(({ status }) => status === 200);
    const away = replies.filter(({ status }) => status === 503);
    expect(served.length + away.length).toBe(200);
    expect(served.length).toBeGreaterThanOrEqual(68);
    for (const { headers } of away) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(helper.engine.mostRunning).toBeLessThanOrEqual(4);
    expect((await helper.chat(CHAT)).status).toBe(200);
  });

  it('does not let one client with many requests keep another one waiting behind them', async () => {
    await using helper = await startHelper({ running: 1, waiting: 64, perClient: 20 });
    helper.engine.delayMs = 20;
    const { token } = helper.registry.issue('origin', 'https://greedy.example');
    const headers = { origin: 'https://greedy.example', authorization: `Bearer ${token}` };
    const statuses: number[] = [];
    const greedy = Array.from({ length: 40 }, async () => {
      statuses.push((await helper.chat(CHAT, { headers })).status);
    });
    // The surplus is turned away at once; the rest waits, at 60 ms an answer.
    await until(() => statuses.filter((status) => status === 429).length >= 15);
    const servedBefore = statuses.filter((status) => status === 200).length;
    await helper.chat(CHAT);
    // The one that ran, and one that was admitted while the request was on its way.
    expect(statuses.filter((status) => status === 200).length - servedBefore).toBeLessThanOrEqual(3);
    await Promise.all(greedy);
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
  });

  it('gives memory, descriptors and the engine back after 1,000 aborted requests', async () => {
    await using helper = await startHelper({ perClient: 32 });
    helper.engine.delayMs = 2;
    const abortOne = (): Promise<void> =>
      new Promise((resolve) => {
        const headers = { ...JSON_TYPE, authorization: `Bearer ${helper.key}` };
        const options = { port: helper.port, method: 'POST', path: '/v1/chat/completions', headers };
        const request = httpRequest({ ...options, agent: false }, (response) => {
          response.once('data', () => request.destroy());
          response.on('error', () => {}).on('close', () => resolve());
        });
        request.on('error', () => {}).end(JSON.stringify({ ...CHAT, stream: true, max_tokens: 10_000 }));
      });
    const abortMany = async (count: number): Promise<void> => {
      for (let done = 0; done < count; done += 25) {
        await Promise.all(Array.from({ length: 25 }, abortOne));
        await until(() => helper.engine.running === 0);
      }
    };
    await abortMany(200);
    const before = { descriptors: countDescriptors(), heap: heapBytes() };
    await abortMany(1000);
    expect(helper.engine.aborted).toBe(1200);
    await until(() => countDescriptors() <= before.descriptors + 3);
    helper.engine.requests.length = 0;
    expect(heapBytes() - before.heap).toBeLessThan(4e6);
    expect((await helper.chat(CHAT)).status).toBe(200);
  });
});

function countDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function heapBytes(): number {
  for (let round = 0; round < 3; round++) collectGarbage();
  return process.memoryUsage().heapUsed;
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('It did not become true in 10 s.');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
