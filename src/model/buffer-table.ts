import { assert } from '../base/assert.ts';
import type { BufferRange, Device, DeviceBuffer } from '../gpu/device.ts';
import type { BufferRef } from '../kernels/kernel.ts';
import type { Plan, ScratchBuffer } from './plan.ts';

/** The buffers that Plans name, made on first use and shared by all Plans of a model. It owns them. */
export class BufferTable {
  readonly #device: Device;
  readonly #buffers = new Map<string, DeviceBuffer>();
  /** Ends when the last call for a name has. */
  readonly #making = new Map<string, Promise<unknown>>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Makes the buffer, or makes it anew where it is too small; what it held is then lost. */
  ensure(name: string, buffer: ScratchBuffer): Promise<DeviceBuffer> {
    // One after the other for a name: Plans that compile at the same time share what the first one makes.
    const making = (this.#making.get(name) ?? Promise.resolve()).then(() => this.#make(name, buffer));
    this.#making.set(
      name,
      making.catch(() => {}),
    );
    return making;
  }

  async #make(name: string, { byteLength, usage }: ScratchBuffer): Promise<DeviceBuffer> {
    const present = this.#buffers.get(name);
    if (present && present.byteLength >= byteLength) return present;
    this.#buffers.delete(name);
    present?.destroy();
    const buffer = await this.#device.createBuffer({ label: name, byteLength, usage });
    this.#buffers.set(name, buffer);
    return buffer;
  }

  /** Makes every scratch buffer of the Plans, at the largest size that any of them asks for. */
  async ensureScratch(plans: readonly Plan[]): Promise<void> {
    const largest = new Map<string, ScratchBuffer>();
    for (const [name, buffer] of plans.flatMap((plan) => [...plan.scratch])) {
      const known = largest.get(name);
      if (!known || known.byteLength < buffer.byteLength) largest.set(name, buffer);
    }
    for (const [name, buffer] of largest) await this.ensure(name, buffer);
  }

  get(name: string): DeviceBuffer {
    const buffer = this.#buffers.get(name);
    assert(buffer, `no buffer is named "${name}"`);
    return buffer;
  }

  /** The device range behind a Plan's reference. */
  resolve({ buffer, byteOffset, byteLength }: BufferRef): BufferRange {
    return { buffer: this.get(buffer), byteOffset, byteLength };
  }

  /** Frees the buffers whose names pass the test. */
  release(isReleased: (name: string) => boolean): void {
    for (const [name, buffer] of this.#buffers) {
      if (!isReleased(name)) continue;
      buffer.destroy();
      this.#buffers.delete(name);
    }
  }

  destroy(): void {
    this.release(() => true);
  }
}
