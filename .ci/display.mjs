/** Gives headed browsers a display: the person's own, or one of an X server that this process starts. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { installPackages } from './system-packages.mjs';

const CONNECT_TIMEOUT_MS = 2_000;
const START_TIMEOUT_MS = 20_000;

/**
 * @typedef {object} Display
 * @property {NodeJS.ProcessEnv} env what a browser must find in its environment.
 * @property {() => void} close stops the server when this process started it. It also stops with the process.
 */

/**
 * @returns {Promise<Display>}
 * @throws {Error} when there is no display and no X server to start.
 */
export async function openDisplay() {
  if (process.platform !== 'linux') return { env: {}, close: () => {} };
  if (await isDisplayAlive(process.env['DISPLAY'])) return { env: {}, close: () => {} };
  if (!isOnPath('Xvfb') && !installPackages(['xvfb'])) {
    throw new Error('There is no display and no Xvfb: install the package "xvfb", or run inside a desktop.');
  }
  return startServer();
}

/**
 * A variable that names a dead server is worse than none: every adapter request of a browser then fails.
 *
 * @param {string | undefined} display such as `:0`, `:99.0` or `host:10`.
 * @returns {Promise<boolean>}
 */
export async function isDisplayAlive(display) {
  const match = /^(.*):(\d+)(?:\.\d+)?$/.exec(display ?? '');
  if (!match) return false;
  const [, host = '', number = ''] = match;
  if (host !== '' && host !== 'unix') return canConnect({ host, port: 6000 + Number(number) });
  const path = `/tmp/.X11-unix/X${number}`;
  // Some servers listen only on Linux's abstract name of the same socket.
  return (await canConnect({ path })) || canConnect({ path: `\0${path}` });
}

/** @param {import('node:net').NetConnectOpts} where @returns {Promise<boolean>} */
function canConnect(where) {
  return new Promise((resolve) => {
    const socket = connect(where);
    /** @param {boolean} alive */
    const settle = (alive) => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle(false));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

/** @param {string} command @returns {boolean} */
function isOnPath(command) {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Xvfb itself picks a free number and writes it once it listens, so that nothing is guessed or polled
 * (`xvfb-run` does both, and hangs without a terminal). It writes the line's end by itself, and dies if nobody reads
 * that, so the whole line is waited for.
 *
 * @returns {Promise<Display>}
 */
function startServer() {
  const args = ['-displayfd', '3', '-screen', '0', '1600x1200x24', '-nolisten', 'tcp'];
  const server = spawn('Xvfb', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const close = () => {
    process.off('exit', close);
    server.kill();
  };
  process.on('exit', close);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => giveUp(`did not start within ${START_TIMEOUT_MS / 1000} s`),
      START_TIMEOUT_MS,
    );
    /** @param {string} why */
    const giveUp = (why) => {
      clearTimeout(timer);
      close();
      reject(new Error(`Xvfb ${why}.`));
    };
    server.once('error', (error) => giveUp(`did not start: ${error.message}`));
    server.once('exit', (code) => giveUp(`ended with code ${code} before it had a display`));
    const numbers = /** @type {import('node:stream').Readable} */ (server.stdio[3]);
    createInterface({ input: numbers }).once('line', (number) => {
      clearTimeout(timer);
      server.removeAllListeners('exit');
      // The tests decide when this process ends, not the server.
      server.unref();
      numbers.destroy();
      resolve({ env: { DISPLAY: `:${number}` }, close });
    });
  });
}
