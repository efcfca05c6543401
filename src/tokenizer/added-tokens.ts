import { AutoglmError } from '../base/errors.ts';

/** A token that is matched in the text before BPE sees it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Control tokens: never produced from shielded user text, skipped by `skipSpecialTokens`. */
  readonly special: boolean;
  /** Whether the token swallows the white space before it. */
  readonly lstrip: boolean;
  /** Whether the token swallows the white space behind it. */
  readonly rstrip: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Added tokens of tokenizer.json and of tokenizer_config.json's `added_tokens_decoder`, by ascending id.
 *
 * Both are read because GLM-4.1V lists `<|image|>`, `<think>` and seven more in the second file only; a
 * loader that reads tokenizer.json alone splits them into pieces. Where both name an id, the second wins,
 * as in transformers.
 *
 * @throws AutoglmError `tokenizer-invalid` for a malformed entry, two contents of one id, or two ids of one
 *   content.
 */
export function mergeAddedTokens(tokenizer: Json, config: Json): AddedToken[] {
  const byId = new Map<number, AddedToken>();
  for (const entry of toArray(tokenizer['added_tokens'])) addToken(byId, toAddedToken(entry));
  for (const [id, entry] of Object.entries(toObject(config['added_tokens_decoder']))) {
    addToken(byId, toAddedToken({ ...toObject(entry), id: Number(id) }));
  }
  const extraSpecial = new Set(toArray(config['additional_special_tokens']));
  const tokens = [...byId.values()].map((token) =>
    extraSpecial.has(token.content) ? { ...token, special: true } : token,
  );
  requireUniqueContents(tokens);
  return tokens.toSorted((a, b) => a.id - b.id);
}

function addToken(byId: Map<number, AddedToken>, token: AddedToken): void {
  const known = byId.get(token.id);
  if (known !== undefined && known.content !== token.content) {
    throw new AutoglmError('tokenizer-invalid', `Added token ${token.id} has two contents.`, {
      value: [known.content, token.content],
      limit: 'one content an id',
      cure: 'Use tokenizer.json and tokenizer_config.json of the same model.',
    });
  }
  byId.set(token.id, token);
}

function requireUniqueContents(tokens: readonly AddedToken[]): void {
  const idOf = new Map<string, number>();
  for (const { id, content } of tokens) {
    const other = idOf.get(content);
    if (other !== undefined) {
      throw new AutoglmError(
        'tokenizer-invalid',
        `Added token "${content}" has the ids ${other} and ${id}.`,
        {
          value: [other, id],
          limit: 'one id a content',
          cure: 'Use tokenizer.json and tokenizer_config.json of the same model.',
        },
      );
    }
    idOf.set(content, id);
  }
}

function toAddedToken(entry: unknown): AddedToken {
  const { id, content, special, lstrip, rstrip } = toObject(entry);
  if (!Number.isInteger(id) || (id as number) < 0 || typeof content !== 'string' || content === '') {
    throw new AutoglmError('tokenizer-invalid', 'An added token needs a whole id and a content.', {
      value: entry,
      limit: '{id: whole number >= 0, content: non-empty string}',
      cure: 'Fetch the tokenizer files again.',
    });
  }
  return {
    id: id as number,
    content,
    special: special === true,
    lstrip: lstrip === true,
    rstrip: rstrip === true,
  };
}

function toArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function toObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
