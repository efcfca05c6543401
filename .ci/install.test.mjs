import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isInstalled, isNodeSupported } from './install.mjs';

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'autoglm-install-'));
});

afterEach(() => rmSync(root, { recursive: true }));

const LOCK = {
  '': { version: '1.0.0', optionalDependencies: { sharp: '1' } },
  'node_modules/lit': { version: '3.0.0' },
  'node_modules/sharp': { version: '1.0.0', optional: true },
  'node_modules/@img/sharp-win32-x64': { version: '1.0.0', optional: true },
};

/** @param {Record<string, object>} [installed] the packages in `node_modules`; no folder when absent. */
function isInstalledWith(installed) {
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: LOCK }));
  if (installed) {
    mkdirSync(join(root, 'node_modules'));
    writeFileSync(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages: installed }));
  }
  return isInstalled(root);
}

describe('isInstalled', () => {
  const lit = LOCK['node_modules/lit'];
  const sharp = LOCK['node_modules/sharp'];

  it('is false in a fresh clone', () => {
    expect(isInstalledWith()).toBe(false);
  });

  it('is true without the packages of other systems', () => {
    expect(isInstalledWith({ 'node_modules/lit': lit, 'node_modules/sharp': sharp })).toBe(true);
  });

  it('is false when a package is missing', () => {
    expect(isInstalledWith({ 'node_modules/sharp': sharp })).toBe(false);
  });

  it('is false when an optional package that the project itself names is missing', () => {
    expect(isInstalledWith({ 'node_modules/lit': lit })).toBe(false);
  });

  it('is false when the lock file asks for another version', () => {
    const old = { version: '2.9.0' };
    expect(isInstalledWith({ 'node_modules/lit': old, 'node_modules/sharp': sharp })).toBe(false);
  });
});

describe('isNodeSupported', () => {
  it.each([
    ['20.19.0', true],
    ['22.1.0', true],
    ['20.18.3', false],
    ['18.20.0', false],
  ])('knows that %s is %s', (version, supported) => {
    expect(isNodeSupported(version)).toBe(supported);
  });
});
