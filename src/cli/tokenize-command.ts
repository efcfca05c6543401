import type { Command } from 'commander';
import { AutoglmError } from '../base/errors.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readJsonFile } from './json-file.ts';
import { readOptionalModelFile } from './model-folder.ts';
import type { Terminal } from './terminal.ts';

interface TokenizeFlags {
  readonly text?: string;
  readonly messages?: string;
  readonly json?: boolean;
}

/** Adds `autoglm tokenize`. */
export function addTokenizeCommand(program: Command, terminal: Terminal): void {
  program
    .command('tokenize')
    .description('Show the token ids of a text or of a conversation.')
    .argument('<model>', 'model folder')
    .option('--text <text>', 'encode a text as it is, special tokens included')
    .option('--messages <file>', 'encode a JSON file of OpenAI messages; one token stands for an image')
    .option('--json', 'print {tokenIds}')
    .action(async (model: string, flags: TokenizeFlags) => {
      const tokenizer = await openTokenizer(model);
      const tokenIds = await encode(tokenizer, flags);
      terminal.stdout(flags.json ? `${JSON.stringify({ tokenIds })}\n` : describe(tokenizer, tokenIds));
    });
}

/**
 * The tokenizer of a model folder.
 *
 * @throws AutoglmError as `Tokenizer.create` does.
 */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const [tokenizerJson, tokenizerConfigJson, chatTemplate] = await Promise.all(
    ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'].map((name) =>
      readOptionalModelFile(folder, name),
    ),
  );
  return Tokenizer.create({ tokenizerJson, tokenizerConfigJson, chatTemplate });
}

async function encode(tokenizer: Tokenizer, flags: TokenizeFlags): Promise<readonly number[]> {
  if ((flags.text === undefined) === (flags.messages === undefined)) {
    throw new AutoglmError('usage', 'Give either --text or --messages.');
  }
  if (flags.text !== undefined) return tokenizer.encode(flags.text);
  return tokenizer.encodeChat(await readJsonFile(flags.messages!)).ids;
}

function describe(tokenizer: Tokenizer, ids: readonly number[]): string {
  return ids.map((id) => `${String(id).padStart(6)}  ${JSON.stringify(tokenizer.decode([id]))}\n`).join('');
}
