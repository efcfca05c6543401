import { spawn } from 'node:child_process';

const GRACE_MS = 5_000;

/**
 * Runs a program to its end with its output passed through, and stops it and all it started when it takes too long.
 *
 * @param {string[]} command
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv, timeoutMs: number }} options `env` is added to this process's.
 * @returns {Promise<boolean>} whether it ended by itself with exit code 0.
 */
export function runCommand([program = '', ...args], { cwd, env = {}, timeoutMs }) {
  // A process group of its own: a test runner's workers and browsers outlive the runner when only that is killed.
  const detached = process.platform !== 'win32';
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached,
  });
  /** @param {NodeJS.Signals} signal */
  const kill = (signal) => {
    if (child.pid === undefined) return;
    try {
      process.kill(detached ? -child.pid : child.pid, signal);
    } catch {
      // It has ended in the meantime.
    }
  };
  // Test runners take an interrupt, and only that, as a request to stop the servers that they started.
  const onSignal = () => {
    kill('SIGINT');
    setTimeout(() => kill('SIGKILL'), GRACE_MS).unref();
    child.once('exit', () => process.exit(1));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    console.error(`Stopped after ${timeoutMs / 1000} s: ${[program, ...args].join(' ')}`);
    kill('SIGINT');
    setTimeout(() => kill('SIGKILL'), GRACE_MS).unref();
  }, timeoutMs);
  return new Promise((resolve) => {
    /** @param {boolean} succeeded */
    const settle = (succeeded) => {
      clearTimeout(timer);
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
      resolve(succeeded);
    };
    child.once('error', (error) => {
      console.error(error.message);
      settle(false);
    });
    child.once('exit', (code) => settle(code === 0 && !timedOut));
  });
}
