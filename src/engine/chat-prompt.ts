import { AutoglmError } from '../base/errors.ts';
import type { DecodeImage } from '../image/decode-image.ts';
import { prepareImage, type PreparedImage } from '../image/prepare-image.ts';
import type { PreprocessorConfig } from '../image/preprocessor-config.ts';
import type { ModelConfig } from '../model/config.ts';
import { countCommon } from '../model/kv-slots.ts';
import { computePositionIds } from '../model/position-ids.ts';
import { expandImageTokens } from '../tokenizer/image-tokens.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { toMaxPixels } from './image-detail.ts';
import { readImageBytes } from './image-source.ts';
import type { ChatMessage, ContentPart } from './openai.ts';

/** A prompt as the model takes it. */
export interface Prompt {
  readonly tokenIds: readonly number[];
  /** [T, 3] */
  readonly positions: Uint32Array;
  readonly ropeDelta: number;
  readonly images: readonly PromptImage[];
}

/** An image of a prompt and where its tokens begin. */
export interface PromptImage {
  readonly image: PreparedImage;
  /** Index of its first token. */
  readonly start: number;
}

/** What turns messages into a prompt. */
export interface PromptBuilderParts {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | undefined;
  readonly preprocessor: PreprocessorConfig | undefined;
  readonly decodeImage: DecodeImage;
}

/** How images are prepared. */
export interface ImageOptions {
  /** Greatest area of all frames together; default: the model's own limit. */
  readonly maxPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a conversation is rendered. */
export interface ConversationOptions extends ImageOptions {
  /** The answer goes on with the last message's text, which is the assistant's. */
  readonly continuesLast?: boolean | undefined;
}

/** Turns conversations, or plain ids, into prompts. */
export class PromptBuilder {
  readonly #parts: PromptBuilderParts;

  constructor(parts: PromptBuilderParts) {
    this.#parts = parts;
  }

  /** @throws AutoglmError `message-invalid`, `image-*`, `tokenizer-missing`, `network` */
  async fromMessages(messages: readonly ChatMessage[], options: ConversationOptions = {}): Promise<Prompt> {
    const { tokenizer, config } = this.#parts;
    if (!tokenizer) throw missingTokenizer();
    const { ids } = tokenizer.encodeChat(messages, { addGenerationPrompt: !options.continuesLast });
    const images = await this.#prepareImages(messages, options);
    const counts = images.map(({ tokenCount }) => tokenCount);
    return this.fromTokens(expandImageTokens(ids, config.imageTokenId, counts), images);
  }

  /**
   * The beginning that the prompts of a conversation share, whichever of the `next` messages follows: cut behind a
   * control token, as no text after it changes the tokens before; undefined where nothing is certain.
   *
   * @throws as `fromMessages` does
   */
  async fromBeginning(
    messages: readonly ChatMessage[],
    next: readonly ChatMessage[],
    options: ImageOptions = {},
  ): Promise<Prompt | undefined> {
    const { tokenizer, config } = this.#parts;
    if (!tokenizer) throw missingTokenizer();
    const images = await this.#prepareImages(messages, options);
    const [first = [], ...others] = next.map((message) => tokenizer.encodeChat([...messages, message]).ids);
    const common = Math.min(...others.map((ids) => countCommon(first, ids)));
    let imageCount = 0;
    // The next message's own image is not known.
    const isUnknown = (id: number): boolean => id === config.imageTokenId && ++imageCount > images.length;
    const known = first.slice(0, common);
    const end = known.findIndex(isUnknown);
    const certain = end === -1 ? known : known.slice(0, end);
    const count = certain.findLastIndex((id) => tokenizer.specialIds.has(id)) + 1;
    if (count === 0) return undefined;
    const counts = images.map(({ tokenCount }) => tokenCount);
    return this.fromTokens(expandImageTokens(certain.slice(0, count), config.imageTokenId, counts), images);
  }

  /** Plain text without a chat template. */
  fromText(text: string): Prompt {
    const { tokenizer } = this.#parts;
    if (!tokenizer) throw missingTokenizer();
    return this.fromTokens(tokenizer.encode(text), []);
  }

  /** Ids with every image token already repeated once for each merged patch. */
  fromTokens(tokenIds: readonly number[], images: readonly PreparedImage[]): Prompt {
    const { config } = this.#parts;
    const merge = config.vision.spatialMergeSize;
    this.#requireVocabulary(tokenIds);
    const grids = images.map(({ gridRows, gridCols }) => ({
      rows: gridRows / merge,
      columns: gridCols / merge,
    }));
    const { positions, ropeDelta } = computePositionIds(tokenIds, config.imageTokenId, grids);
    return { tokenIds, positions, ropeDelta, images: this.#placeImages(tokenIds, images) };
  }

  /** Decodes and prepares one image. */
  async prepare(bytes: Uint8Array, { maxPixels }: ImageOptions = {}): Promise<PreparedImage> {
    const { preprocessor, decodeImage } = this.#parts;
    if (!preprocessor) {
      throw new AutoglmError(
        'file-missing',
        'This model folder cannot take images: it has no preprocessor_config.json.',
        {
          value: 'preprocessor_config.json',
          cure: 'Convert the checkpoint again, with the file beside it.',
        },
      );
    }
    return prepareImage(await decodeImage(bytes), preprocessor, { maxPixels });
  }

  async #prepareImages(messages: readonly ChatMessage[], options: ImageOptions): Promise<PreparedImage[]> {
    const images: PreparedImage[] = [];
    for (const part of messages.flatMap(({ content }): readonly ContentPart[] =>
      typeof content === 'string' ? [] : (content ?? []),
    )) {
      if (part.type !== 'image_url') continue;
      options.signal?.throwIfAborted();
      const { url, detail } = part.image_url;
      const maxPixels = toMaxPixels(detail, options.maxPixels, this.#parts.preprocessor?.maxPixels);
      images.push(await this.prepare(await readImageBytes(url, options.signal), { maxPixels }));
    }
    return images;
  }

  #placeImages(tokenIds: readonly number[], images: readonly PreparedImage[]): PromptImage[] {
    let from = 0;
    return images.map((image) => {
      const start = tokenIds.indexOf(this.#parts.config.imageTokenId, from);
      from = start + image.tokenCount;
      return { image, start };
    });
  }

  #requireVocabulary(tokenIds: readonly number[]): void {
    const { V } = this.#parts.config.text;
    if (tokenIds.length === 0) {
      throw new AutoglmError('message-invalid', 'The prompt is empty.', {
        value: 0,
        limit: 'at least one token',
        cure: 'Send a message, or token ids.',
      });
    }
    const unknown = tokenIds.find((id) => !(Number.isInteger(id) && id >= 0 && id < V));
    if (unknown === undefined) return;
    throw new AutoglmError('request-invalid', `Token id ${unknown} is not in the vocabulary.`, {
      value: unknown,
      limit: `0 to ${V - 1}`,
      cure: 'Encode the prompt with the tokenizer of this model.',
    });
  }
}

function missingTokenizer(): AutoglmError {
  return new AutoglmError(
    'tokenizer-missing',
    'This model folder has no tokenizer, so it cannot read text.',
    {
      value: 'tokenizer.json',
      cure: 'Pass token ids, or convert a checkpoint that has its tokenizer beside it.',
    },
  );
}
