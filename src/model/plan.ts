import type { KernelCall } from '../kernels/kernel.ts';

/** A buffer that a Plan reads or writes and that is not a weight. */
export interface ScratchBuffer {
  readonly byteLength: number;
  readonly usage: 'storage' | 'uniform';
}

/**
 * A compiled step as plain data: which programs with which constants and buffers, in which order, on how
 * many workgroups. Backends only execute Plans; every choice of variant was made by the compiler.
 */
export interface Plan {
  /** Such as `prefill` or `decode x1`. */
  readonly name: string;
  readonly calls: readonly KernelCall[];
  /** Buffers beyond the weights, by name. Plans of one model share buffers of the same name. */
  readonly scratch: ReadonlyMap<string, ScratchBuffer>;
}

/** Collects the calls and buffers of a Plan. */
export class PlanBuilder {
  readonly #name: string;
  readonly #calls: KernelCall[] = [];
  readonly #scratch = new Map<string, ScratchBuffer>();

  constructor(name: string) {
    this.#name = name;
  }

  /** Names a buffer of `length` f32 (or other 4-byte) elements; naming it again keeps the larger size. */
  buffer(name: string, length: number, usage: ScratchBuffer['usage'] = 'storage'): { buffer: string } {
    const byteLength = Math.max(16, length * 4, this.#scratch.get(name)?.byteLength ?? 0);
    this.#scratch.set(name, { byteLength, usage });
    return { buffer: name };
  }

  add(...calls: readonly KernelCall[]): void {
    this.#calls.push(...calls);
  }

  build(): Plan {
    return { name: this.#name, calls: this.#calls, scratch: this.#scratch };
  }
}
