import { describe, expect, it } from 'vitest';
import { hasDesktop } from './start.mjs';

describe('hasDesktop', () => {
  /** @type {[string, NodeJS.ProcessEnv, NodeJS.Platform, boolean][]} */
  const cases = [
    ['a Mac', {}, 'darwin', true],
    ['Windows', {}, 'win32', true],
    ['Linux with X', { DISPLAY: ':0' }, 'linux', true],
    ['Linux with Wayland', { WAYLAND_DISPLAY: 'wayland-0' }, 'linux', true],
    ['Linux without a display', {}, 'linux', false],
    ['a remote shell', { SSH_CONNECTION: '10.0.0.1', DISPLAY: ':10' }, 'linux', false],
    ['continuous integration', { CI: 'true' }, 'darwin', false],
  ];

  it.each(cases)('knows whether %s shows a window', (_, env, platform, expected) => {
    expect(hasDesktop(env, platform)).toBe(expected);
  });
});
