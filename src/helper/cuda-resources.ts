import { assert } from '../base/assert.ts';
import type { BindingSet, DeviceBuffer, Program } from '../gpu/device.ts';
import type { Handle } from './cuda-driver.ts';
import type { ResolvedKernel } from './cuda-kernels.ts';

/** Device memory with an owner. */
export class CudaBuffer implements DeviceBuffer {
  readonly label: string;
  readonly byteLength: number;
  readonly #address: Handle;
  readonly #onDestroy: (buffer: CudaBuffer) => void;
  #isDestroyed = false;

  constructor(
    { label, byteLength, address }: { label: string; byteLength: number; address: Handle },
    onDestroy: (buffer: CudaBuffer) => void,
  ) {
    this.label = label;
    this.byteLength = byteLength;
    this.#address = address;
    this.#onDestroy = onDestroy;
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  get address(): Handle {
    assert(!this.#isDestroyed, `buffer "${this.label}" is used after destroy()`);
    return this.#address;
  }

  destroy(): void {
    if (this.#isDestroyed) return;
    this.#onDestroy(this);
    this.#isDestroyed = true;
  }
}

/** The buffer of this backend behind the seam. */
export function cudaBuffer(buffer: DeviceBuffer): CudaBuffer {
  assert(buffer instanceof CudaBuffer, `buffer "${buffer.label}" belongs to another device`);
  return buffer;
}

/** A kernel of the loaded module. */
export interface CudaProgram extends Program {
  readonly kernel: ResolvedKernel;
  readonly handle: Handle;
}

/** A kernel's parameters, packed as the driver takes them. */
export interface CudaBindingSet extends BindingSet {
  readonly program: CudaProgram;
  /** Never given twice: what a recorded step is recognised by. */
  readonly id: number;
  /** The `extra` argument of a launch; it points into `memory`. */
  readonly extra: Handle;
  /** Holds the packed parameters, whose addresses the driver reads. */
  readonly memory: ArrayBuffer;
}
