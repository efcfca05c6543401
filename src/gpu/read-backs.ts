/** Buffers of one size that wait for their next use: as many as steps are in flight. */
const MOST_IDLE = 8;

/** Mappable buffers through which ranges come back. They are used again: a decode step reads its token every time. */
export class ReadBacks {
  readonly #device: GPUDevice;
  readonly #idle = new Map<number, GPUBuffer[]>();
  #isDestroyed = false;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Records the copy of a range into one; offset and length are multiples of 4. */
  record(encoder: GPUCommandEncoder, source: GPUBuffer, byteOffset: number, byteLength: number): GPUBuffer {
    const staging = this.#idle.get(byteLength)?.pop() ?? this.#create(byteLength);
    encoder.copyBufferToBuffer(source, byteOffset, staging, 0, byteLength);
    return staging;
  }

  /** What was copied, once the copy has been submitted. A fault of the device makes it throw. */
  async take(staging: GPUBuffer): Promise<ArrayBuffer> {
    try {
      await staging.mapAsync(GPUMapMode.READ);
      const bytes = staging.getMappedRange().slice(0);
      staging.unmap();
      this.#keep(staging);
      return bytes;
    } catch (cause) {
      staging.destroy();
      throw cause;
    }
  }

  destroy(): void {
    this.#isDestroyed = true;
    for (const buffers of this.#idle.values()) buffers.forEach((buffer) => buffer.destroy());
    this.#idle.clear();
  }

  #create(size: number): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ label: 'read back', size, usage });
  }

  #keep(staging: GPUBuffer): void {
    const idle = this.#idle.get(staging.size) ?? [];
    // Large ones are rare, and each use would keep its memory.
    if (this.#isDestroyed || staging.size > 2 ** 16 || idle.length >= MOST_IDLE) return staging.destroy();
    this.#idle.set(staging.size, [...idle, staging]);
  }
}
