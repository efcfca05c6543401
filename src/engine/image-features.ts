import type { DeviceBuffer } from '../gpu/device.ts';
import type { PreparedImage } from '../image/prepare-image.ts';
import type { ImageLease } from '../model/active-sequence.ts';
import type { LanguageModel } from '../model/language-model.ts';
import type { ImageRun } from '../model/text-model.ts';
import type { PromptImage } from './chat-prompt.ts';
import { TurnQueue } from './turn-queue.ts';

/** Bytes of encoded images that are kept for the next turn: a full screenshot of the 9B takes 51 MB. */
const MAX_BYTES = 128 * 2 ** 20;

interface EncodedImage {
  readonly buffer: DeviceBuffer;
  /** Prompts that are being computed from it. */
  userCount: number;
}

/** Encoded images by content, so that the same screenshot is encoded once. It owns their buffers. */
export class ImageFeatures {
  readonly #model: LanguageModel;
  /** The tower encodes one image at a time. */
  readonly #turns = new TurnQueue();
  /** Least recently used first. */
  readonly #images = new Map<string, EncodedImage>();

  constructor(model: LanguageModel) {
    this.#model = model;
  }

  /**
   * The features of a prompt's images, [tokenCount, C] f32 each; encodes those that are new.
   *
   * @throws what the tower throws; the signal's reason between two of its blocks
   */
  async lease(images: readonly PromptImage[], signal: AbortSignal): Promise<ImageLease> {
    const leased: EncodedImage[] = [];
    const release = (): void => {
      for (const one of leased.splice(0)) one.userCount--;
      this.#trim();
    };
    try {
      const runs: ImageRun[] = [];
      for (const { image, start } of images) {
        const encoded = await this.#get(image, signal);
        encoded.userCount++;
        leased.push(encoded);
        runs.push({ start, count: image.tokenCount, features: encoded.buffer });
      }
      this.#trim();
      return { runs, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async destroy(): Promise<void> {
    const leave = await this.#turns.enter();
    for (const { buffer } of this.#images.values()) buffer.destroy();
    this.#images.clear();
    leave();
  }

  async #get(image: PreparedImage, signal: AbortSignal): Promise<EncodedImage> {
    const { contentHash, patches, gridRows, gridCols } = image;
    const leave = await this.#turns.enter(signal);
    try {
      let encoded = this.#images.get(contentHash);
      if (!encoded) {
        const buffer = await this.#model.vision.encode(
          { patches, gridRows, gridColumns: gridCols },
          { signal },
        );
        encoded = { buffer, userCount: 0 };
      }
      this.#images.delete(contentHash);
      this.#images.set(contentHash, encoded);
      return encoded;
    } finally {
      leave();
    }
  }

  /** Frees the least recently used images beyond the limit, but none that a prompt in hand needs. */
  #trim(): void {
    let bytes = [...this.#images.values()].reduce((total, { buffer }) => total + buffer.byteLength, 0);
    for (const [hash, { buffer, userCount }] of this.#images) {
      if (bytes <= MAX_BYTES) return;
      if (userCount > 0) continue;
      bytes -= buffer.byteLength;
      buffer.destroy();
      this.#images.delete(hash);
    }
  }
}
