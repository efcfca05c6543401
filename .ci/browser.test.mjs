import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBrowser } from './browser.mjs';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'autoglm-browser-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** Writes a program that answers `--version`. @param {string} name @param {string} script @returns {string} */
function writeProgram(name, script) {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** @param {NodeJS.ProcessEnv} env @param {Partial<import('./browser.mjs').Surroundings>} [more] */
function find(env, more = {}) {
  return findBrowser({ env, platform: 'linux', usualPaths: [], playwrightPath: undefined, ...more });
}

describe('findBrowser', () => {
  it('finds none on a machine without one', async () => {
    expect(await find({ PATH: folder })).toBeUndefined();
    expect(await find({})).toBeUndefined();
  });

  it('finds one on the search path, Chrome before Chromium', async () => {
    const chromium = writeProgram('a/chromium', 'echo Chromium 150.0');
    expect(await find({ PATH: join(folder, 'a') })).toBe(chromium);
    const chrome = writeProgram('b/google-chrome', 'echo Google Chrome 150.0');
    expect(await find({ PATH: [join(folder, 'a'), join(folder, 'b')].join(delimiter) })).toBe(chrome);
  });

  it('passes over a program that does not start', async () => {
    writeProgram('a/chromium-browser', 'echo "Command requires the chromium snap"; exit 1');
    writeProgram('a/chrome', 'echo something else');
    expect(await find({ PATH: join(folder, 'a') })).toBeUndefined();
  });

  it('looks in the usual places, then where Playwright puts its own', async () => {
    const usual = writeProgram('usual', 'echo Chromium 150.0');
    const own = writeProgram('own', 'echo Google Chrome for Testing 150.0');
    const places = { usualPaths: [join(folder, 'none'), usual], playwrightPath: own };
    expect(await find({}, places)).toBe(usual);
    expect(await find({}, { ...places, usualPaths: [] })).toBe(own);
  });

  it('takes the browser that a variable names before all others', async () => {
    const named = writeProgram('mine', 'echo Chromium 150.0');
    writeProgram('a/chromium', 'echo Chromium 150.0');
    expect(await find({ PATH: join(folder, 'a'), CHROME_PATH: named })).toBe(named);
  });

  it('refuses a variable that names no browser', async () => {
    writeProgram('a/chromium', 'echo Chromium 150.0');
    await expect(find({ PATH: join(folder, 'a'), CHROME_PATH: '/nowhere/chrome' })).rejects.toThrow(
      'CHROME_PATH is "/nowhere/chrome", which is no browser that starts',
    );
  });
});
