/** Serves the chat page with Vite and opens it where somebody can see it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './install.mjs';
import { isMain } from './is-main.mjs';

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {NodeJS.Platform} platform
 * @returns {boolean} whether a browser window would appear in front of the person who asked for it.
 */
export function hasDesktop(env, platform) {
  if (env['CI'] || env['SSH_CONNECTION']) return false;
  if (platform === 'darwin' || platform === 'win32') return true;
  return Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY']);
}

function start() {
  const open = hasDesktop(process.env, process.platform) ? ['--open'] : [];
  const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
  const server = spawn(process.execPath, [vite, ...open, ...process.argv.slice(2)], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  // A terminal sends its signals to both; other senders reach only this process.
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => server.kill(signal));
  }
  server.on('exit', (code, signal) => {
    process.exitCode = signal ? 0 : (code ?? 1);
  });
}

if (isMain(import.meta.url)) start();
