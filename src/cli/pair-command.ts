import type { Command } from 'commander';
import { AutoglmError } from '../base/errors.ts';
import { ClientRegistry, type LinkedClient } from '../helper/client-registry.ts';
import { findRunningHelper } from '../helper/serve.ts';
import { configFolder } from '../helper/user-folders.ts';
import type { Terminal } from './terminal.ts';

interface PairFlags {
  readonly client?: string;
  readonly json?: boolean;
}

/** Adds `autoglm pair` and `autoglm unpair`. */
export function addPairCommands(program: Command, terminal: Terminal): void {
  program
    .command('pair')
    .description("Show the running helper's code and who is linked, or make a key for a program.")
    .option('--client <name>', 'make a lasting API key for a program')
    .option('--json', 'print JSON')
    .action((flags: PairFlags) => runPair(flags, terminal));
  program
    .command('unpair')
    .description('End every link of an origin, or the key of a program, at once.')
    .argument('<origin>', 'origin such as https://example.org, or the name of a program')
    .option('--json', 'print JSON')
    .action((name: string, flags: PairFlags) => runUnpair(name, flags, terminal));
}

function runPair({ client, json }: PairFlags, terminal: Terminal): void {
  const folder = configFolder();
  const registry = new ClientRegistry(folder);
  if (client !== undefined) {
    if (!/^\w[\w .-]{0,63}$/.test(client)) {
      throw new AutoglmError('usage', `"${client}" cannot be a program's name.`, {
        value: client,
        limit: 'letters, digits, spaces, dots and dashes',
        cure: 'Choose a short name, such as my-script.',
      });
    }
    const { token } = registry.issue('program', client);
    terminal.stdout(json ? `${JSON.stringify({ client, token })}\n` : `${token}\n`);
    if (!json) terminal.stderr('This key is shown once. "autoglm unpair" with the name ends it.\n');
    return;
  }
  const running = findRunningHelper(folder);
  const clients = registry.list();
  if (json) {
    const shown = clients.map(({ kind, name, createdAt, expiresAt }) => ({
      kind,
      name,
      createdAt,
      expiresAt,
    }));
    terminal.stdout(`${JSON.stringify({ running: running ?? null, clients: shown })}\n`);
    return;
  }
  terminal.stdout(
    running
      ? `The helper runs on ${running.url}. Code for linking: ${running.code}\n`
      : 'No helper runs. Start it with "autoglm serve".\n',
  );
  terminal.stdout(
    clients.length === 0 ? 'Nothing is linked.\n' : `Linked:\n${clients.map(describe).join('')}`,
  );
}

function runUnpair(name: string, { json }: PairFlags, terminal: Terminal): void {
  const count = new ClientRegistry(configFolder()).revoke(name);
  if (count === 0) {
    throw new AutoglmError('usage', `Nothing is linked by the name "${name}".`, {
      value: name,
      cure: 'See the names with "autoglm pair".',
    });
  }
  terminal.stdout(
    json ? `${JSON.stringify({ name, count })}\n` : `${name} is no longer linked (${count} ended).\n`,
  );
}

function describe({ kind, name, expiresAt }: LinkedClient): string {
  return `  ${kind === 'origin' ? 'page' : 'program'} ${name}, until ${new Date(expiresAt).toISOString().slice(0, 10)}\n`;
}
