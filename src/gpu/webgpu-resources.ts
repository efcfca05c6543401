import { assert } from '../base/assert.ts';
import type { BindingSet, DeviceBuffer, Program } from './device.ts';

/** A program's pipeline and how to bind it. */
export interface WebGpuProgram extends Program {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly bindingIndices: ReadonlyMap<string, number>;
}

/** A bind group with its program. */
export interface WebGpuBindingSet extends BindingSet {
  readonly program: WebGpuProgram;
  readonly group: GPUBindGroup;
}

/** A GPUBuffer with an owner. */
export class WebGpuBuffer implements DeviceBuffer {
  readonly label: string;
  readonly byteLength: number;
  readonly #handle: GPUBuffer;
  readonly #onDestroy: (buffer: WebGpuBuffer) => void;
  #isDestroyed = false;

  constructor(handle: GPUBuffer, onDestroy: (buffer: WebGpuBuffer) => void) {
    this.label = handle.label;
    this.byteLength = handle.size;
    this.#handle = handle;
    this.#onDestroy = onDestroy;
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  get handle(): GPUBuffer {
    assert(!this.#isDestroyed, `buffer "${this.label}" is used after destroy()`);
    return this.#handle;
  }

  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#handle.destroy();
    this.#onDestroy(this);
  }
}

/** The GPUBuffer behind a buffer of this device; throws by name after `destroy()`. */
export function bufferHandle(buffer: DeviceBuffer): GPUBuffer {
  assert(buffer instanceof WebGpuBuffer, `buffer "${buffer.label}" belongs to another device`);
  return buffer.handle;
}
