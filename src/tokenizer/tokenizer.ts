import { Tokenizer as BpeTokenizer } from '@huggingface/tokenizers';
import { AutoglmError } from '../base/errors.ts';
import { mergeAddedTokens } from './added-tokens.ts';
import type { AddedToken } from './added-tokens.ts';
import { CHARACTER_OF_BYTE, toTokenBytes } from './byte-alphabet.ts';
import { encodeChat } from './chat-encoder.ts';
import type { ChatEncoding, EncodeChatOptions } from './chat-encoder.ts';
import { ChatTemplate } from './chat-template.ts';
import { SpecialSplitter } from './special-splitter.ts';
import { parseTokenizerFiles } from './tokenizer-files.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';

/** How text becomes ids. */
export interface EncodeOptions {
  /** Adds what the tokenizer's post-processor adds (nothing in GLM-4's). Default false. */
  readonly addSpecialTokens?: boolean;
  /** Whether text that spells a special token becomes it; else it is plain text. Default true. */
  readonly parseSpecialTokens?: boolean;
  /** A character that is removed once the special tokens are found; see `SpecialSplitter.shield`. */
  readonly shield?: string;
}

/** How ids become text. */
export interface DecodeOptions {
  /** Leaves special tokens out. `<think>` and `<answer>` are not special. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/**
 * A byte-level BPE tokenizer read from a Hugging Face folder's files.
 *
 * Special tokens are found here and everything between them goes to the library, which knows the other
 * added tokens only: so text can be encoded with and without control tokens over one set of merges.
 */
export class Tokenizer {
  /** Ids of control tokens, such as `<|user|>` and `<|image|>`. */
  readonly specialIds: ReadonlySet<number>;
  /** One more than the largest id; the model's own vocabulary may be padded beyond it. */
  readonly vocabSize: number;
  /** The model's chat template, when its folder has one. */
  readonly chatTemplate: ChatTemplate | undefined;

  readonly #bpe: BpeTokenizer;
  readonly #splitter: SpecialSplitter;
  readonly #added: ReadonlyMap<number, AddedToken>;
  readonly #idOf: ReadonlyMap<string, number>;
  readonly #tokenOf: readonly (string | undefined)[];

  private constructor(
    bpe: BpeTokenizer,
    vocabulary: ReadonlyMap<string, number>,
    added: readonly AddedToken[],
    template: ChatTemplate | undefined,
  ) {
    const special = added.filter((token) => token.special);
    const addedIds = added.map((token) => [token.content, token.id] as const);
    this.#bpe = bpe;
    this.#splitter = new SpecialSplitter(special);
    this.#added = new Map(added.map((token) => [token.id, token]));
    this.#idOf = new Map([...vocabulary, ...addedIds]);
    this.#tokenOf = invert(this.#idOf);
    this.specialIds = new Set(special.map((token) => token.id));
    this.vocabSize = this.#tokenOf.length;
    this.chatTemplate = template;
  }

  /**
   * Builds a tokenizer from file texts (or what they parse to).
   *
   * @throws AutoglmError `tokenizer-missing` without a tokenizer.json, `tokenizer-invalid` for files that are
   *   not a byte-level BPE tokenizer, `template-invalid` for a template with a syntax error.
   */
  static create(files: TokenizerFiles): Tokenizer {
    const { tokenizer, config, vocabulary, template } = parseTokenizerFiles(files);
    requireAllBytes(vocabulary);
    const added = mergeAddedTokens(tokenizer, config);
    const others = added.filter((token) => !token.special);
    return new Tokenizer(
      createBpe({ ...tokenizer, added_tokens: others }, config),
      vocabulary,
      added,
      template === undefined ? undefined : ChatTemplate.create(template, config),
    );
  }

  /** Ids of a text. The empty text has none. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const { addSpecialTokens = false, parseSpecialTokens = true, shield } = options;
    const pieces = parseSpecialTokens ? this.#splitter.split(text) : [{ text }];
    const tokens = pieces.flatMap((piece) =>
      'token' in piece ? [piece.token.content] : this.#tokenize(piece.text, shield),
    );
    const processor = addSpecialTokens ? this.#bpe.post_processor : null;
    const processed = processor === null ? tokens : processor.post_process(tokens, null, true).tokens;
    return processed.map((token) => this.#requireId(token));
  }

  /**
   * Text of ids. Bytes that are not UTF-8 become U+FFFD. Ids without a token (the padding of the model's
   * vocabulary) are nothing.
   */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const kept = options.skipSpecialTokens ? ids.filter((id) => !this.specialIds.has(id)) : ids;
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const texts = kept.map((id) => decoder.decode(this.tokenBytes(id), { stream: true }));
    return texts.join('') + decoder.decode();
  }

  /** Id of a token in the tokenizer's own spelling (`Ġa`, `<|image|>`), or undefined. */
  tokenToId(token: string): number | undefined {
    return this.#idOf.get(token);
  }

  /** Token of an id in the tokenizer's own spelling, or undefined. */
  idToToken(id: number): string | undefined {
    return this.#tokenOf[id];
  }

  /** Bytes that a token adds to the text; none for an id without a token. */
  tokenBytes(id: number): Uint8Array {
    const added = this.#added.get(id);
    if (added !== undefined) return new TextEncoder().encode(added.content);
    return toTokenBytes(this.#tokenOf[id] ?? '');
  }

  /** Text with a `shield` character where it would spell a special token; see `SpecialSplitter.shield`. */
  shield(text: string, shield: string): string {
    return this.#splitter.shield(text, shield);
  }

  /**
   * Ids of a conversation, one image token an image: see `encodeChat` for what user text may and may not
   * become.
   *
   * @throws AutoglmError `template-invalid` without a template or when it fails, `message-invalid`.
   */
  encodeChat(messages: unknown, options: EncodeChatOptions = {}): ChatEncoding {
    if (this.chatTemplate === undefined) {
      throw new AutoglmError('template-invalid', 'The model has no chat template.', {
        limit: 'chat_template.jinja, or chat_template in tokenizer_config.json',
        cure: 'Add the template to the model folder, or pass token ids.',
      });
    }
    return encodeChat(this, this.chatTemplate, messages, options);
  }

  #tokenize(text: string, shield: string | undefined): string[] {
    const plain = shield === undefined ? text : text.replaceAll(shield, '');
    return this.#bpe.tokenize(plain);
  }

  #requireId(token: string): number {
    const id = this.#idOf.get(token);
    if (id === undefined) {
      throw new AutoglmError('tokenizer-invalid', `The tokenizer made a token without an id.`, {
        value: token,
        limit: 'a token of the vocabulary',
        cure: 'Fetch tokenizer.json again.',
      });
    }
    return id;
  }
}

function createBpe(tokenizer: object, config: object): BpeTokenizer {
  try {
    return new BpeTokenizer(tokenizer, config);
  } catch (cause) {
    throw new AutoglmError('tokenizer-invalid', `tokenizer.json does not load: ${String(cause)}.`, {
      cure: 'Fetch the tokenizer files again.',
      cause,
    });
  }
}

// A byte without a token would be dropped from the text in silence.
function requireAllBytes(vocabulary: ReadonlyMap<string, number>): void {
  const missing = CHARACTER_OF_BYTE.findIndex((character) => !vocabulary.has(character));
  if (missing === -1) return;
  throw new AutoglmError('tokenizer-invalid', `The vocabulary has no token for byte ${missing}.`, {
    value: missing,
    limit: 'a token for each of the 256 bytes',
    cure: 'Use a byte-level BPE tokenizer, such as GLM-4.1V has.',
  });
}

function invert(idOf: ReadonlyMap<string, number>): (string | undefined)[] {
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of idOf) tokens[id] = token;
  return tokens;
}
