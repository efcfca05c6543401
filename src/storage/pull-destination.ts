/**
 * The memory that one `pull` of a byte stream has to fill. It may be handed on to another byte stream, which
 * takes it over: gives it back filled, or loses it when it breaks.
 */
export class PullDestination {
  readonly #controller: ReadableByteStreamController;
  readonly #request: ReadableStreamBYOBRequest;
  readonly #view: Uint8Array<ArrayBuffer>;
  readonly #byteLength: number;
  readonly #bufferBytes: number;

  /** The stream must have an `autoAllocateChunkSize`, so that every pull brings memory. */
  constructor(controller: ReadableByteStreamController) {
    this.#controller = controller;
    this.#request = controller.byobRequest as ReadableStreamBYOBRequest;
    this.#view = this.#request.view as Uint8Array<ArrayBuffer>;
    this.#byteLength = this.#view.byteLength;
    this.#bufferBytes = this.#view.buffer.byteLength;
  }

  /**
   * The memory itself the first time; other memory of that length once it was taken over, or where what the
   * consumer keeps before its view would be lost as well.
   */
  takeMemory(): Uint8Array<ArrayBuffer> {
    const isGiven = this.#view.byteLength > 0 && this.#view.byteOffset === 0;
    return isGiven ? this.#view : new Uint8Array(this.#byteLength);
  }

  /** Answers the pull. Bytes that are not in the memory asked for are copied. */
  deliver(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#isTaken()) return this.#controller.enqueue(bytes);
    const isInPlace = bytes.byteOffset === 0 && bytes.buffer.byteLength === this.#bufferBytes;
    this.#request.respondWithNewView(isInPlace ? bytes : this.#copy(bytes));
  }

  /** Ends the stream without bytes. */
  end(): void {
    this.#controller.close();
    this.#request.respondWithNewView(
      this.#isTaken() ? this.#copy(new Uint8Array(0)) : this.#view.subarray(0, 0),
    );
  }

  /** A stream only accepts a view of the same place in a buffer of the same length. */
  #copy(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const place = new Uint8Array(new ArrayBuffer(this.#bufferBytes), 0, bytes.byteLength);
    place.set(bytes);
    return place;
  }

  #isTaken(): boolean {
    return this.#view.byteLength === 0;
  }
}
