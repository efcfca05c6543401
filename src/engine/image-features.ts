import type { PreparedImage } from '../image/prepare-image.ts';
import type { DeviceBuffer } from '../gpu/device.ts';
import type { LanguageModel } from '../model/language-model.ts';

/** Bytes of encoded images that are kept for the next turn: a full screenshot of the 9B takes 51 MB. */
const MAX_BYTES = 128 * 2 ** 20;

/** Encoded images by content, so that the same screenshot is encoded once. It owns their buffers. */
export class ImageFeatures {
  readonly #model: LanguageModel;
  /** Least recently used first. */
  readonly #buffers = new Map<string, DeviceBuffer>();

  constructor(model: LanguageModel) {
    this.#model = model;
  }

  /** The features of an image, [tokenCount, C] f32; encodes it when it is new. */
  async get(image: PreparedImage, signal?: AbortSignal): Promise<DeviceBuffer> {
    const { contentHash, patches, gridRows, gridCols } = image;
    const known = this.#buffers.get(contentHash);
    const buffer =
      known ?? (await this.#model.vision.encode({ patches, gridRows, gridColumns: gridCols }, { signal }));
    this.#buffers.delete(contentHash);
    this.#buffers.set(contentHash, buffer);
    return buffer;
  }

  /** Frees the least recently used images beyond the limit, but none that a prompt in hand needs. */
  trim(neededHashes: ReadonlySet<string> = new Set()): void {
    let bytes = [...this.#buffers.values()].reduce((total, { byteLength }) => total + byteLength, 0);
    for (const [hash, buffer] of this.#buffers) {
      if (bytes <= MAX_BYTES) return;
      if (neededHashes.has(hash)) continue;
      bytes -= buffer.byteLength;
      buffer.destroy();
      this.#buffers.delete(hash);
    }
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
  }
}
