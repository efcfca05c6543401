import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { AutoglmError, toError } from '../base/errors.ts';
import type { TurnImage } from './conversation.ts';
import { openImage } from './image-files.ts';
import { ObjectUrls } from './object-urls.ts';

/** The screenshots that wait to be sent, with their object URLs. */
export class AttachmentsController implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #urls = new ObjectUrls();
  #images: readonly TurnImage[] = [];
  #fault: AutoglmError | null = null;

  constructor(host: ReactiveControllerHost) {
    this.#host = host;
    host.addController(this);
  }

  hostDisconnected(): void {
    // The images stay, so that an element that is moved keeps them; URLs are made again when shown.
    this.#urls.keepOnly(new Set());
  }

  get images(): readonly TurnImage[] {
    return this.#images;
  }

  /** Why the last file was refused; null once something else happens. */
  get fault(): AutoglmError | null {
    return this.#fault;
  }

  urlOf(image: TurnImage): string {
    return this.#urls.urlOf(image);
  }

  /** Adds the files that are pictures, in their order; the others are reported by `fault`. */
  async add(files: readonly Blob[]): Promise<void> {
    this.#fault = null;
    for (const file of files) {
      try {
        const image = await openImage(file, file instanceof File ? file.name : 'image');
        this.#images = [...this.#images, image];
      } catch (thrown) {
        const error = toError(thrown);
        if (!(error instanceof AutoglmError)) throw error;
        this.#fault = error;
      }
      this.#host.requestUpdate();
    }
  }

  setDetail(id: string, detail: TurnImage['detail']): void {
    this.replace(this.#images.map((image) => (image.id === id ? { ...image, detail } : image)));
  }

  remove(id: string): void {
    this.replace(this.#images.filter((image) => image.id !== id));
  }

  /** All images, which are not kept any more. */
  take(): readonly TurnImage[] {
    const images = this.#images;
    this.replace([]);
    return images;
  }

  replace(images: readonly TurnImage[]): void {
    this.#images = images;
    this.#fault = null;
    this.#urls.keepOnly(new Set(images.map(({ id }) => id)));
    this.#host.requestUpdate();
  }
}
