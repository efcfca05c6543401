import type { Command } from 'commander';
import { serve, type ServeEvent } from '../helper/serve.ts';
import { cacheFolder, configFolder } from '../helper/user-folders.ts';
import { DEFAULT_HELPER_PORT } from '../protocol/helper-http.ts';
import { addLoadOptions, type LoadFlags } from './load-options.ts';
import { parseCount } from './option-values.ts';
import { formatBytes, ProgressLine, type Terminal } from './terminal.ts';

interface ServeFlags extends LoadFlags {
  readonly model?: string;
  readonly port: number;
  readonly host?: string;
  readonly hostName?: readonly string[];
  readonly parallel?: number;
  readonly queue?: number;
  readonly log?: boolean;
  readonly json?: boolean;
}

/** Adds `autoglm serve`. */
export function addServeCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command('serve')
    .description('Run the local helper: an OpenAI-compatible server that pages can be linked with.')
    .option('--model <model>', 'model folder or URL; without it, linked pages hand theirs over')
    .option('--port <n>', 'port to listen on; 0 takes a free one', parseCount, DEFAULT_HELPER_PORT)
    .option('--host <address>', 'address to listen on; anything but loopback lets other machines in')
    .option('--host-name <name...>', 'names by which other machines may call this one')
    .option('--parallel <n>', 'answers written at once; 8', parseCount)
    .option('--queue <n>', 'requests that may wait; 64', parseCount)
    .option('--log', 'log requests and refusals to stderr, one JSON object a line')
    .option('--json', 'print what happens as JSON, one object a line');
  addLoadOptions(command).action((flags: ServeFlags) => runServe(flags, terminal));
}

async function runServe(flags: ServeFlags, terminal: Terminal): Promise<void> {
  const { host: address } = flags;
  if (address !== undefined && !/^(127\.|localhost$|::1$)/.test(address)) {
    terminal.stderr(
      `Warning: other machines can reach the helper on ${address}. It asks for a token, but sends everything in clear text.\n`,
    );
  }
  const line = new ProgressLine(terminal);
  await serve({
    model: flags.model,
    port: flags.port,
    address,
    hostNames: [...(flags.hostName ?? []), ...(address === undefined ? [] : [address])],
    device: flags.device,
    contextWindow: flags.context,
    cacheFormat: flags.kvFormat,
    parallel: flags.parallel,
    waiting: flags.queue,
    configFolder: configFolder(),
    cacheFolder: cacheFolder(),
    signal: terminal.signal,
    log: flags.log ? { write: terminal.stderr } : undefined,
    onProgress: ({ phase, loadedBytes, totalBytes }) => {
      line.update(`${phase} ${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`);
      if (phase === 'ready') line.end();
    },
    onEvent: (event) => terminal.stdout(flags.json ? `${JSON.stringify(event)}\n` : `${describe(event)}\n`),
  });
}

function describe(event: ServeEvent): string {
  switch (event.type) {
    case 'listening':
      return [
        `The helper listens on ${event.url}`,
        `  Link a page: choose "Link the helper" on it, or open ${event.url}/pair`,
        `  Code for linking: ${event.code}`,
        `  OpenAI clients: base URL ${event.url}/v1, API key of this run ${event.key}`,
        '  (autoglm pair --client NAME makes a lasting key; Ctrl-C stops the helper)',
      ].join('\n');
    case 'ready':
      return `${event.model} is ready on ${event.adapter}. ${event.reason}`;
    case 'failed':
      return `Failed: ${event.message}`;
    case 'code':
      return `New code for linking: ${event.code}`;
    case 'linked':
      return `Linked ${event.origin}. "autoglm unpair ${event.origin}" ends it.`;
    case 'stopping':
      return `Stopping; ${event.answers} answers end first.`;
  }
}
