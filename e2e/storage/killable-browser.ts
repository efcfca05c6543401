import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { BrowserContext, BrowserType, LaunchOptions } from '@playwright/test';

/** A browser that a test can kill as a crash or a power cut would. */
export interface KillableBrowser {
  readonly context: BrowserContext;
  kill(): Promise<void>;
}

/** Starts the browser as a process group of its own and connects to it. */
export async function launchKillableBrowser(
  browserType: BrowserType,
  { executablePath, args = [] }: LaunchOptions,
  headless: boolean | undefined,
  profile: string,
): Promise<KillableBrowser> {
  if (executablePath === undefined) throw new Error('The configuration names no browser.');
  const flags = ['--remote-debugging-port=0', `--user-data-dir=${profile}`, '--no-first-run'];
  if (headless) flags.push('--headless');
  const child = spawn(executablePath, [...args, ...flags, 'about:blank'], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = async (): Promise<void> => {
    process.kill(-(child.pid as number), 'SIGKILL');
    await exited;
  };
  try {
    const browser = await browserType.connectOverCDP(await readEndpoint(child.stderr));
    return { context: browser.contexts()[0] as BrowserContext, kill };
  } catch (error) {
    await kill();
    throw error;
  }
}

async function readEndpoint(stderr: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stderr })) {
    const match = /DevTools listening on (ws:\S+)/.exec(line);
    if (match?.[1] !== undefined) return match[1];
  }
  throw new Error('The browser ended before it could be reached.');
}
