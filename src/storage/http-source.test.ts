import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  startFaultServer,
  type Fault,
  type FaultServer,
  type ServedRequest,
} from '../../e2e/fault-server.ts';
import { createRandomModelFolder, hashOf } from '../../e2e/model-folder.ts';
import { createHttpSource } from './http-source.ts';
import { parseRetryAfterMs } from './retry-policy.ts';

const MIB = 1024 * 1024;
const BYTE_LENGTH = 3 * MIB + 5;
const PATH = 'params_shard_0.bin';
const folder = createRandomModelFolder([BYTE_LENGTH]);
const bytes = folder.files.get(PATH) as Uint8Array;

/** Waits are shortened; nothing else differs from production. */
const FAST = { retry: { baseDelayMs: 5, maxDelayMs: 20, maxFailures: 4 }, stallTimeoutMs: 150 };

let server: FaultServer;
beforeEach(async () => {
  server = await startFaultServer(folder.files);
});
afterEach(() => server.close());

async function fetchHash(options: { offset?: number; byteLength?: number; signal?: AbortSignal } = {}) {
  const stream = await createHttpSource(server.url, FAST).openFile(PATH, {
    byteLength: BYTE_LENGTH,
    ...options,
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return hashOf(Buffer.concat(chunks));
}

/** Makes the n-th request for the shard misbehave by the n-th fault, and later ones behave. */
function planInTurn(...faults: (Fault | readonly Fault[] | undefined)[]): void {
  server.planFaults = ({ path, attempt }: ServedRequest) => (path === PATH ? faults[attempt] : undefined);
}

describe('createHttpSource', () => {
  it.each<[string, (Fault | Fault[] | undefined)[], number]>([
    ['no fault', [], 0],
    ['a cut', [{ kind: 'cut', afterBytes: 1_000_001 }], 0],
    ['a cut before the first byte', [{ kind: 'cut', afterBytes: 0 }], 0],
    ['500', [{ kind: 'status', status: 500 }], 0],
    ['429 with Retry-After', [{ kind: 'status', status: 429, retryAfter: '0' }], 0],
    ['a stalled body', [{ kind: 'stall', afterBytes: MIB }], 0],
    ['a Content-Length that is too large', [{ kind: 'content-length', byteLength: BYTE_LENGTH + 100 }], 0],
    ['a Content-Length that is too small', [{ kind: 'content-length', byteLength: BYTE_LENGTH - 100 }], 100],
    ['a redirect', [{ kind: 'redirect', path: `${PATH}?signed` }], 0],
  ])('reads the file through %s', async (_name, faults, surplusBytes) => {
    planInTurn(...faults);
    expect(await fetchHash()).toBe(hashOf(bytes));
    expect(server.bytesServed(PATH)).toBe(BYTE_LENGTH + surplusBytes);
  });

  it('survives twenty cuts without fetching a byte twice', async () => {
    planInTurn(...Array.from({ length: 20 }, () => ({ kind: 'cut', afterBytes: 100_001 }) as const));
    expect(await fetchHash()).toBe(hashOf(bytes));
    expect(server.bytesServed(PATH)).toBe(BYTE_LENGTH);
    expect(server.requests.map((request) => request.status)).toEqual([200, ...Array(20).fill(206)]);
  });

  it('resumes where the server ignores Range', async () => {
    planInTurn({ kind: 'cut', afterBytes: MIB }, { kind: 'ignore-range' });
    expect(await fetchHash()).toBe(hashOf(bytes));
  });

  it('starts at an offset, as after a reload', async () => {
    expect(await fetchHash({ offset: 2 * MIB })).toBe(hashOf(bytes.subarray(2 * MIB)));
    expect(server.bytesServed(PATH)).toBe(MIB + 5);
  });

  it('starts at an offset where the server ignores Range', async () => {
    planInTurn({ kind: 'ignore-range' });
    expect(await fetchHash({ offset: 2 * MIB })).toBe(hashOf(bytes.subarray(2 * MIB)));
  });

  it('asks the original address again when a signed link expires', async () => {
    const signed = (token: string): string => `${token}-${PATH}`;
    for (const token of ['one', 'two']) server.files.set(signed(token), bytes);
    server.planFaults = ({ path, attempt }) => {
      if (path === PATH) return { kind: 'redirect', path: signed(attempt < 2 ? 'one' : 'two') };
      if (path === signed('one')) {
        return attempt === 0 ? { kind: 'cut', afterBytes: MIB } : { kind: 'status', status: 403 };
      }
      return undefined;
    };
    expect(await fetchHash()).toBe(hashOf(bytes));
    expect(server.requests.map(({ path, status }) => `${status} ${path}`)).toEqual([
      `302 ${PATH}`,
      `200 ${signed('one')}`,
      `302 ${PATH}`,
      `403 ${signed('one')}`,
      `302 ${PATH}`,
      `206 ${signed('two')}`,
    ]);
  });

  it('waits as long as Retry-After asks', async () => {
    planInTurn({ kind: 'status', status: 503, retryAfter: '1' });
    const startMs = performance.now();
    await fetchHash();
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(990);
  });

  it('refuses a file that changes between two parts', async () => {
    const other = Uint8Array.from(bytes, (byte) => byte ^ 255);
    planInTurn({ kind: 'cut', afterBytes: MIB }, { kind: 'replace', bytes: other });
    await expect(fetchHash()).rejects.toMatchObject({ code: 'shard-corrupt' });
  });

  it.each<[string, Fault, string]>([
    ['404', { kind: 'status', status: 404 }, 'file-missing'],
    ['403', { kind: 'status', status: 403 }, 'http-status'],
    ['500 for ever', { kind: 'status', status: 500 }, 'http-status'],
    ['Retry-After of an hour', { kind: 'status', status: 429, retryAfter: '3600' }, 'http-status'],
    ['an HTML page', { kind: 'html' }, 'http-not-bytes'],
    ['a shorter file', { kind: 'truncate', byteLength: MIB }, 'shard-truncated'],
    ['an empty file', { kind: 'truncate', byteLength: 0 }, 'shard-truncated'],
    ['silence', { kind: 'stall', afterBytes: 0 }, 'network'],
  ])('reports %s by its code', async (_name, fault, code) => {
    server.planFaults = () => fault;
    await expect(fetchHash()).rejects.toMatchObject({ code, cure: expect.any(String) });
  });

  it('reports a server that is gone', async () => {
    await server.close();
    await expect(fetchHash()).rejects.toMatchObject({ code: 'network' });
    server = await startFaultServer(folder.files);
  });

  it('stops within its wait when aborted', async () => {
    server.planFaults = () => ({ kind: 'slow', millisecondsPerChunk: 50 });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 100);
    await expect(fetchHash({ signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('takes the page that single-page servers send for an absent file', async () => {
    server.planFaults = ({ path }) => (path === 'absent.json' ? { kind: 'html' } : undefined);
    expect(await createHttpSource(server.url, FAST).readOptionalText('absent.json')).toBeUndefined();
    expect(await createHttpSource(server.url, FAST).readOptionalText('none.json')).toBeUndefined();
  });

  it.each([
    ['http://h/m', 'http://h/m/'],
    ['http://h/m/tensor-cache.json?token=1', 'http://h/m/?token=1'],
    ['https://huggingface.co/owner/name', 'https://huggingface.co/owner/name/resolve/main/'],
  ])('takes the address %s', (address, folderUrl) => {
    expect(createHttpSource(address).id).toBe(folderUrl);
  });

  it.each(['models/m', 'ftp://h/m', ''])('refuses the address "%s"', (address) => {
    expect(() => createHttpSource(address)).toThrow(/not the http/);
  });
});

describe('parseRetryAfterMs', () => {
  it.each([
    ['2', 2000],
    ['-1', 0],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 9000],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ])('reads %s', (header, milliseconds) => {
    expect(parseRetryAfterMs(header, 1000)).toBe(milliseconds);
  });
});
