import type { CudaDriver, Handle } from './cuda-driver.ts';
import { requireSuccess } from './cuda-result.ts';
import type { CudaBuffer } from './cuda-resources.ts';
import type { CudaWaiter } from './cuda-waiter.ts';

/** Smallest pinned piece; pieces double from there, and each is used again. */
const LEAST_BYTES = 4096;

interface Piece {
  readonly pointer: Handle;
  readonly view: ArrayBuffer;
}

/** Copies device memory back through pinned memory. */
export class CudaReadback {
  readonly #driver: CudaDriver;
  readonly #stream: Handle;
  readonly #waiter: CudaWaiter;
  readonly #free = new Map<number, Piece[]>();
  readonly #all: Piece[] = [];

  constructor(driver: CudaDriver, stream: Handle, waiter: CudaWaiter) {
    this.#driver = driver;
    this.#stream = stream;
    this.#waiter = waiter;
  }

  async read(buffer: CudaBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    const size = Math.max(LEAST_BYTES, 2 ** Math.ceil(Math.log2(Math.max(1, byteLength))));
    const piece = this.#free.get(size)?.pop() ?? this.#allocate(size);
    const action = `read buffer "${buffer.label}"`;
    requireSuccess(
      this.#driver.cuMemcpyDtoHAsync_v2(
        piece.pointer,
        buffer.address + BigInt(byteOffset),
        BigInt(byteLength),
        this.#stream,
      ),
      action,
    );
    await this.#waiter.wait(action);
    const copy = piece.view.slice(0, byteLength);
    const free = this.#free.get(size);
    if (free) free.push(piece);
    else this.#free.set(size, [piece]);
    return copy;
  }

  destroy(): void {
    for (const { pointer } of this.#all.splice(0)) this.#driver.cuMemFreeHost(pointer);
    this.#free.clear();
  }

  #allocate(size: number): Piece {
    const pointer = new BigUint64Array(1);
    requireSuccess(this.#driver.cuMemAllocHost_v2(pointer, BigInt(size)), 'allocate pinned memory');
    const piece = { pointer: pointer[0], view: this.#driver.view(pointer[0], size) };
    this.#all.push(piece);
    return piece;
  }
}
