/** A real `autoglm serve` in a process of its own, on the software adapter, for pages that link with it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findNodeAdapter } from '../../.ci/adapter.mjs';
import { findBrowser } from '../../.ci/browser.mjs';
import { buildCli, type BuiltCli } from '../../src/cli/built-cli.test-support.ts';
import { ClientRegistry } from '../../src/helper/client-registry.ts';
import type { ServeEvent } from '../../src/helper/serve.ts';

export const MODEL = fileURLToPath(new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url));

type EventOf<Type extends ServeEvent['type']> = Extract<ServeEvent, { type: Type }>;

/** Starts and kills helpers on one port, with one folder for what they remember. */
export class HelperLauncher implements AsyncDisposable {
  readonly port: number;
  readonly #cli: BuiltCli;
  readonly #folder = mkdtempSync(join(tmpdir(), 'autoglm-e2e-helper-'));
  readonly #env: NodeJS.ProcessEnv;
  #current: HelperProcess | undefined;

  private constructor(cli: BuiltCli, port: number, env: NodeJS.ProcessEnv) {
    this.#cli = cli;
    this.port = port;
    this.#env = {
      ...process.env,
      ...env,
      AUTOGLM_CONFIG: join(this.#folder, 'config'),
      AUTOGLM_CACHE: join(this.#folder, 'cache'),
    };
  }

  static async create(): Promise<HelperLauncher> {
    const { env } = findNodeAdapter((await findBrowser()) ?? '');
    return new HelperLauncher(await buildCli('e2e-helper'), await findFreePort(), env);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts a helper; with `null` one that has no model. */
  start(model: string | null = MODEL): HelperProcess {
    const flags = ['--port', String(this.port), '--json', '--context', '2048', '--parallel', '1'];
    const args = [this.#cli.program, 'serve', ...flags, ...(model === null ? [] : ['--model', model])];
    this.#current = new HelperProcess(spawn(process.execPath, args, { env: this.#env }));
    return this.#current;
  }

  /** A token as linking would have given it. */
  link(origin: string): string {
    return new ClientRegistry(join(this.#folder, 'config')).issue('origin', origin).token;
  }

  async stop(): Promise<void> {
    await this.#current?.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#cli[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One helper. */
export class HelperProcess {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #events: ServeEvent[] = [];
  readonly #wakers = new Set<() => void>();
  #stderr = '';

  constructor(child: ChildProcess) {
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve()));
    child.stderr?.on('data', (piece: Buffer) => (this.#stderr += piece.toString()));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.#events.push(JSON.parse(line) as ServeEvent);
      for (const wake of this.#wakers) wake();
    });
  }

  /** The first event of a type, also one to come. */
  async event<Type extends ServeEvent['type']>(type: Type): Promise<EventOf<Type>> {
    for (;;) {
      const event = this.#events.find((one) => one.type === type);
      if (event) return event as EventOf<Type>;
      await new Promise<void>((resolve, reject) => {
        this.#wakers.add(resolve);
        void this.#ended.then(() => reject(new Error(`The helper ended: ${this.#stderr}`)));
      });
    }
  }

  /** As the system's out-of-memory killer does it. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
