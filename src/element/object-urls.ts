import type { TurnImage } from './conversation.ts';

/** Object URLs of images, one each, revoked as soon as their image is not kept any more. */
export class ObjectUrls {
  readonly #urls = new Map<string, string>();

  /** The image's URL; made when first asked for. */
  urlOf(image: TurnImage): string {
    const known = this.#urls.get(image.id);
    if (known !== undefined) return known;
    const url = URL.createObjectURL(image.blob);
    this.#urls.set(image.id, url);
    return url;
  }

  /** Revokes the URLs of all images but these. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const [id, url] of this.#urls) {
      if (ids.has(id)) continue;
      URL.revokeObjectURL(url);
      this.#urls.delete(id);
    }
  }

  get count(): number {
    return this.#urls.size;
  }
}
