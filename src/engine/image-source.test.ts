import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAbortError } from '../base/errors.ts';
import { readImageBytes } from './image-source.ts';

let server: Server;
let origin: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/found') return void response.end(Buffer.from([1, 2, 3]));
    // Never answered: only an abort ends it.
    if (request.url === '/slow') return;
    response.statusCode = 404;
    response.end('no');
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe('readImageBytes', () => {
  it('reads data, blob and http URLs', async () => {
    expect([...(await readImageBytes('data:image/png;base64,AQID'))]).toEqual([1, 2, 3]);
    expect([...(await readImageBytes('DATA:application/octet-stream,%01%02%03'))]).toEqual([1, 2, 3]);
    const url = URL.createObjectURL(new Blob([Uint8Array.of(1, 2, 3)]));
    expect([...(await readImageBytes(url))]).toEqual([1, 2, 3]);
    URL.revokeObjectURL(url);
    expect([...(await readImageBytes(`${origin}/found`))]).toEqual([1, 2, 3]);
  });

  it.each([
    ['a path', '/home/screen.png'],
    ['a file URL', 'file:///etc/passwd'],
    ['a script', 'javascript:alert(1)'],
    ['nothing', ''],
  ])('refuses %s', async (_, url) => {
    await expect(readImageBytes(url)).rejects.toMatchObject({
      code: 'message-invalid',
      value: url,
      limit: 'a data:, blob:, http: or https: URL',
      cure: 'Pass the picture as a data URL.',
    });
  });

  it.each([
    ['no comma', 'data:image/png;base64'],
    ['broken base64', 'data:image/png;base64,@@@@'],
  ])('refuses a data URL with %s as a fault of the message, not of the network', async (_, url) => {
    await expect(readImageBytes(url)).rejects.toMatchObject({ code: 'message-invalid', value: url });
  });

  it('shows only the beginning of a long URL', async () => {
    const error = await readImageBytes(`x:${'a'.repeat(5000)}`).catch((thrown: unknown) => thrown);
    expect((error as Error).message.length).toBeLessThan(250);
  });

  it('reports the status of a server that has no such image', async () => {
    await expect(readImageBytes(`${origin}/gone`)).rejects.toMatchObject({ code: 'http-status', value: 404 });
  });

  it('reports a server that cannot be reached', async () => {
    // Port 9 is not served.
    await expect(readImageBytes('http://127.0.0.1:9/x')).rejects.toMatchObject({ code: 'network' });
  });

  it('stops with the signal', async () => {
    const controller = new AbortController();
    const reading = readImageBytes(`${origin}/slow`, controller.signal);
    setTimeout(() => controller.abort(), 20);
    await expect(reading).rejects.toSatisfy(isAbortError);
  });
});
