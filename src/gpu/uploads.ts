import type { Device, DeviceBuffer, Uploads } from './device.ts';

/** Bytes that a queue is given before it is waited for. */
const AHEAD_BYTES = 32 * 1024 * 1024;

/** Opens a device's own way for large writes, or plain writes that do not run ahead of the queue. */
export function openUploads(device: Device): Uploads {
  return device.openUploads?.() ?? new PlainUploads(device);
}

class PlainUploads implements Uploads {
  readonly #device: Device;
  #writtenBytes = 0;

  constructor(device: Device) {
    this.#device = device;
  }

  async write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView<ArrayBuffer>): Promise<void> {
    this.#device.write(buffer, byteOffset, data);
    this.#writtenBytes += data.byteLength;
    if (this.#writtenBytes < AHEAD_BYTES) return;
    this.#writtenBytes = 0;
    await this.#device.idle();
  }

  async finish(): Promise<void> {
    await this.#device.idle();
  }

  destroy(): void {}
}
