import { AutoglmError } from '../base/errors.ts';

/** Contents of a model folder's tokenizer files: texts, or what they parse to. */
export interface TokenizerFiles {
  /** tokenizer.json. */
  readonly tokenizerJson: string | object | undefined;
  /** tokenizer_config.json. */
  readonly tokenizerConfigJson?: string | object | undefined;
  /** chat_template.jinja; wins over tokenizer_config.json's `chat_template`. */
  readonly chatTemplate?: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** Tokenizer files, parsed and checked for what this package needs of them. */
export interface ParsedTokenizerFiles {
  readonly tokenizer: Json;
  readonly config: Json;
  /** Ids of the BPE model's tokens. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly template: string | undefined;
}

/**
 * Parses tokenizer files.
 *
 * @throws AutoglmError `tokenizer-missing` without a tokenizer.json, `tokenizer-invalid` for anything but a
 *   byte-level BPE tokenizer.
 */
export function parseTokenizerFiles(files: TokenizerFiles): ParsedTokenizerFiles {
  if (files.tokenizerJson === undefined || files.tokenizerJson === '') {
    throw new AutoglmError('tokenizer-missing', 'The model folder has no tokenizer.json.', {
      limit: 'tokenizer.json',
      cure: 'Add it to the model folder, or pass prompt token ids.',
    });
  }
  const tokenizer = toJsonObject(files.tokenizerJson, 'tokenizer.json');
  const config = toJsonObject(files.tokenizerConfigJson ?? {}, 'tokenizer_config.json');
  requireByteLevel(tokenizer);
  return {
    tokenizer,
    config,
    vocabulary: readVocabulary(tokenizer),
    template: files.chatTemplate ?? readTemplate(config['chat_template']),
  };
}

function toJsonObject(source: string | object, name: string): Json {
  const value = typeof source === 'string' ? parseJson(source, name) : source;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new AutoglmError('tokenizer-invalid', `${name} is not a JSON object.`, {
    value: typeof value,
    limit: 'object',
    cure: `Fetch ${name} again.`,
  });
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AutoglmError('tokenizer-invalid', `${name} is not JSON: ${(cause as Error).message}.`, {
      value: text.slice(0, 40),
      limit: 'JSON',
      cure: `Fetch ${name} again.`,
      cause,
    });
  }
}

function requireByteLevel(tokenizer: Json): void {
  const model = typeName(tokenizer['model']);
  const decoder = typeName(tokenizer['decoder']);
  if (model === 'BPE' && decoder === 'ByteLevel') return;
  throw new AutoglmError(
    'tokenizer-invalid',
    `tokenizer.json has the model ${model} and the decoder ${decoder}.`,
    { value: [model, decoder], limit: ['BPE', 'ByteLevel'], cure: 'Use a byte-level BPE tokenizer.' },
  );
}

function typeName(value: unknown): string {
  return typeof value === 'object' && value !== null ? String((value as Json)['type']) : 'none';
}

function readVocabulary(tokenizer: Json): Map<string, number> {
  const { vocab, merges } = tokenizer['model'] as Json;
  const isComplete = typeof vocab === 'object' && vocab !== null && Array.isArray(merges);
  const entries = isComplete ? Object.entries(vocab as Record<string, unknown>) : [];
  const isValid =
    entries.length > 0 && entries.every(([, id]) => Number.isInteger(id) && (id as number) >= 0);
  if (isValid) return new Map(entries as [string, number][]);
  throw new AutoglmError('tokenizer-invalid', 'tokenizer.json has no usable model.vocab and model.merges.', {
    value: entries.find(([, id]) => !Number.isInteger(id)),
    limit: 'a whole id for each token, and a list of merges',
    cure: 'Fetch tokenizer.json again.',
  });
}

// Older folders name several templates in a list; the one called "default" is meant.
function readTemplate(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as readonly { readonly name?: unknown; readonly template?: unknown }[];
  const template = (named.find((entry) => entry.name === 'default') ?? named[0])?.template;
  return typeof template === 'string' ? template : undefined;
}
