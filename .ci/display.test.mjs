import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { isDisplayAlive, openDisplay } from './display.mjs';

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

describe.runIf(process.platform === 'linux')('openDisplay', () => {
  const folder = mkdtempSync(join(tmpdir(), 'autoglm-display-'));

  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  it('keeps a server alive that writes its number and the end of the line apart', async () => {
    const survived = join(folder, 'survived');
    const server = `#!/bin/sh\nprintf 57 >&3\nsleep 0.3\nprintf '\\n' >&3 && : > '${survived}'\nexec sleep 30\n`;
    writeFileSync(join(folder, 'Xvfb'), server, { mode: 0o755 });
    vi.stubEnv('PATH', folder + delimiter + process.env['PATH']);
    vi.stubEnv('DISPLAY', undefined);

    const display = await openDisplay();
    try {
      expect(display.env).toEqual({ DISPLAY: ':57' });
      await expect.poll(() => existsSync(survived)).toBe(true);
    } finally {
      display.close();
    }
  });
});
