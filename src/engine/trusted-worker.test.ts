import { describe, expect, it } from 'vitest';
import { toWorkerAddress } from './trusted-worker.ts';

describe('toWorkerAddress', () => {
  it('leaves scripts of the page itself, and scripts without an origin, as they are', () => {
    for (const url of [
      'https://page.example/a/worker.js',
      'blob:https://page.example/1',
      'data:text/javascript,',
    ]) {
      expect(toWorkerAddress(url, 'https://page.example')).toBe(url);
    }
  });

  it('imports a script of another origin from one of the page, once', async () => {
    const url = 'https://cdn.example/"x"/worker.js';
    const address = toWorkerAddress(url, 'https://page.example');
    expect(address).toMatch(/^blob:/);
    const script = await (await fetch(address)).text();
    expect(script).toBe(`import ${JSON.stringify(url)};`);
    expect(toWorkerAddress(url, 'https://page.example')).toBe(address);
    expect(toWorkerAddress('https://cdn.example/other.js', 'https://page.example')).not.toBe(address);
  });
});
