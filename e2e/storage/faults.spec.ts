import { startFaultServer, type Fault, type ServedRequest } from '../fault-server.ts';
import { createRandomModelFolder } from '../model-folder.ts';
import { expect, listShards, load, shardBytesServed, test } from './fixtures.ts';

const MIB = 1024 * 1024;
/** What Chromium had received of a broken answer but not yet given to the page, and throws away. */
const UNREAD_BYTES = 2 * MIB;
const FIRST = 'params_shard_0.bin';

test.describe('a load into an empty cache', () => {
  for (const cache of ['indexeddb', 'opfs', 'none'] as const) {
    test(`delivers every tensor (${cache})`, async ({ folder, server, openTab }) => {
      const page = await openTab();
      const result = await load(page, { url: server.url, cache });
      expect(result.error).toBeUndefined();
      expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
      expect(shardBytesServed(server, folder)).toBe(folder.byteLength);
    });
  }

  /** Faults of the n-th request for the first shard; later ones are answered well. */
  const passing: [name: string, faults: (Fault | Fault[] | undefined)[], mostSurplusBytes: number][] = [
    ['500', [{ kind: 'status', status: 500 }], 0],
    ['429 with Retry-After', [{ kind: 'status', status: 429, retryAfter: '1' }], 0],
    ['a stalled answer', [{ kind: 'stall', afterBytes: 5 * MIB }], UNREAD_BYTES],
    ['silence from the start', [{ kind: 'stall', afterBytes: 0 }], 0],
    // The piece that it is in, and what was on its way behind it.
    ['a flipped bit', [{ kind: 'flip', offset: 7 * MIB }], 5 * MIB + 10],
    [
      'a Content-Length that is too large',
      [{ kind: 'content-length', byteLength: 9 * MIB + 999 }],
      UNREAD_BYTES,
    ],
    [
      'a Content-Length that is too small',
      [{ kind: 'content-length', byteLength: 9 * MIB }],
      10 + UNREAD_BYTES,
    ],
    [
      'a Range that is ignored',
      [{ kind: 'cut', afterBytes: 6 * MIB }, { kind: 'ignore-range' }],
      6 * MIB + UNREAD_BYTES,
    ],
    ['a connection that is reset at once', [{ kind: 'cut', afterBytes: 0 }], 0],
  ];
  for (const [name, faults, mostSurplusBytes] of passing) {
    test(`survives ${name}`, async ({ folder, server, openTab }) => {
      server.planFaults = inTurn(faults);
      const page = await openTab();
      const result = await load(page, { url: server.url, cache: 'indexeddb', stallTimeoutMs: 500 });
      expect(result.error).toBeUndefined();
      expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
      const surplusBytes = shardBytesServed(server, folder) - folder.byteLength;
      expect(surplusBytes).toBeGreaterThanOrEqual(0);
      expect(surplusBytes).toBeLessThanOrEqual(mostSurplusBytes);
    });
  }

  test('survives twenty cuts at random bytes, each time going on from where it stopped', async ({
    folder,
    server,
    openTab,
  }) => {
    let cutCount = 0;
    server.planFaults = ({ path, method }) => {
      if (!path.endsWith('.bin') || method !== 'GET' || cutCount === 20) return undefined;
      cutCount += 1;
      return { kind: 'cut', afterBytes: 100_000 + Math.floor(Math.random() * 600_000) };
    };
    const page = await openTab();
    const result = await load(page, { url: server.url, cache: 'indexeddb' });
    expect(result.error).toBeUndefined();
    expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
    expect(cutCount).toBe(20);
    for (const path of folder.shardPaths) {
      const starts = server.requests.filter((request) => request.path === path).map(({ start }) => start);
      expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    }
    const surplusBytes = shardBytesServed(server, folder) - folder.byteLength;
    expect(surplusBytes).toBeLessThan(0.25 * folder.byteLength);
  });

  test('survives a flipped bit of a folder that lists no pieces', async ({ openTab }) => {
    const plain = createRandomModelFolder([9 * MIB + 10, 100], 3, { isPlain: true });
    const server = await startFaultServer(plain.files);
    server.planFaults = inTurn([{ kind: 'flip', offset: 7 * MIB }]);
    const result = await load(await openTab(), { url: server.url, cache: 'indexeddb' });
    await server.close();
    expect(result.tensorHashes).toEqual(Object.fromEntries(plain.tensorHashes));
    // Only its end tells, so that all of it is fetched once more.
    expect(shardBytesServed(server, plain)).toBe(plain.byteLength + 9 * MIB + 10);
  });

  test('survives a redirect that expires', async ({ folder, server, openTab }) => {
    const signed = (token: string): string => `${token}-${FIRST}`;
    for (const token of ['one', 'two']) {
      server.files.set(signed(token), folder.files.get(FIRST) as Uint8Array);
    }
    server.planFaults = ({ path, attempt }) => {
      if (path === FIRST) return { kind: 'redirect', path: signed(attempt < 2 ? 'one' : 'two') };
      if (path !== signed('one')) return undefined;
      return attempt === 0 ? { kind: 'cut', afterBytes: MIB } : { kind: 'status', status: 403 };
    };
    const page = await openTab();
    const result = await load(page, { url: server.url, cache: 'indexeddb' });
    expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
    expect(server.bytesServed(signed('one'))).toBe(MIB);
    expect(server.bytesServed(signed('two'))).toBeLessThanOrEqual(9 * MIB + 10);
    expect(server.requests.filter(({ path }) => path === FIRST).length).toBeGreaterThanOrEqual(3);
  });

  const failing: [name: string, fault: (request: ServedRequest) => Fault, code: string][] = [
    ['a missing shard', () => ({ kind: 'status', status: 404 }), 'file-missing'],
    ['500 for ever', () => ({ kind: 'status', status: 500 }), 'http-status'],
    ['a shard that is too short', () => ({ kind: 'truncate', byteLength: 5 * MIB }), 'shard-truncated'],
    ['a shard that stays damaged', () => ({ kind: 'flip', offset: 1 }), 'shard-corrupt'],
    ['HTML instead of bytes', () => ({ kind: 'html' }), 'http-not-bytes'],
    ['a server that no page may read', () => ({ kind: 'no-cors' }), 'cors'],
    [
      'a server that goes silent',
      ({ start }) => ({ kind: 'stall', afterBytes: start === 0 ? 6 * MIB : 0 }),
      'network',
    ],
  ];
  for (const [name, fault, code] of failing) {
    test(`reports ${name}, and a later load fetches only the rest`, async ({ folder, server, openTab }) => {
      server.planFaults = (request) => (request.path === FIRST ? fault(request) : undefined);
      const page = await openTab();
      const request = { url: server.url, cache: 'indexeddb', stallTimeoutMs: 500 } as const;
      const failed = await load(page, request);
      expect(failed.error).toMatchObject({ code, cure: expect.any(String) });

      const kept = await listShards(page);
      const keptBytes = kept.reduce((total, { byteLength }) => total + byteLength, 0);
      server.planFaults = () => undefined;
      server.clear();
      const result = await load(page, request);
      expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
      expect(shardBytesServed(server, folder)).toBe(folder.byteLength - keptBytes);
      if (code === 'network') expect(keptBytes).toBeGreaterThanOrEqual(4 * MIB);
    });
  }

  test('reports a manifest that no page may read', async ({ server, openTab }) => {
    server.planFaults = () => ({ kind: 'no-cors' });
    const result = await load(await openTab(), { url: server.url, cache: 'indexeddb' });
    expect(result.error).toMatchObject({ code: 'cors' });
  });

  test('reports a server that is not there', async ({ server, openTab }) => {
    await server.close();
    const result = await load(await openTab(), { url: server.url, cache: 'indexeddb' });
    expect(result.error).toMatchObject({ code: 'network' });
  });
});

function inTurn(faults: readonly (Fault | Fault[] | undefined)[]) {
  return ({ path, attempt }: ServedRequest) => (path === FIRST ? faults[attempt] : undefined);
}
