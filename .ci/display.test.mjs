import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { isDisplayAlive } from './display.mjs';

describe('isDisplayAlive', () => {
  it.each([undefined, '', 'nonsense', ':98765'])('is false for %s', async (display) => {
    expect(await isDisplayAlive(display)).toBe(false);
  });

  it('is true for a server that listens on TCP, until it is gone', async () => {
    const server = createServer();
    await new Promise((resolve) =>
      server.listen({ port: 6000 + 413, host: '127.0.0.1' }, () => resolve(null)),
    );
    expect(await isDisplayAlive('127.0.0.1:413.0')).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    expect(await isDisplayAlive('127.0.0.1:413')).toBe(false);
  });
});
