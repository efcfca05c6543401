import type { Handle, CudaDriver } from './cuda-driver.ts';
import { CUDA_SUCCESS, requireSuccess } from './cuda-result.ts';
import type { CudaBindingSet, CudaBuffer } from './cuda-resources.ts';
import type { Grid } from '../gpu/device.ts';

/** One recorded command. */
export type Command =
  | {
      readonly kind: 'launch';
      readonly bindings: CudaBindingSet;
      readonly grid: Grid;
      readonly label: string;
    }
  | {
      readonly kind: 'copy';
      readonly source: CudaBuffer;
      readonly sourceOffset: number;
      readonly target: CudaBuffer;
      readonly targetOffset: number;
      readonly byteLength: number;
    }
  | {
      readonly kind: 'clear';
      readonly buffer: CudaBuffer;
      readonly byteOffset: number;
      readonly byteLength: number;
    };

/** CU_LAUNCH_ATTRIBUTE_COOPERATIVE: all blocks run at once, or the launch fails. */
const ATTRIBUTE_COOPERATIVE = 2;
/** CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: the kernel starts before the one before it ends. */
const ATTRIBUTE_EARLY_START = 6;
/** CU_STREAM_NON_BLOCKING */
const STREAM_NON_BLOCKING = 1;
/** CU_STREAM_CAPTURE_MODE_THREAD_LOCAL */
const CAPTURE_THREAD_LOCAL = 1;

/** The one stream on which everything runs in order. */
export class CudaStream {
  readonly handle: Handle;
  readonly #driver: CudaDriver;
  /** `CUlaunchConfig`: grid, block, shared bytes, stream, attributes and their number. */
  readonly #config = new DataView(new ArrayBuffer(64));
  readonly #configBytes = new Uint8Array(this.#config.buffer);
  /** `CUlaunchAttribute`; the config points to it. */
  readonly #attribute = new DataView(new ArrayBuffer(128));
  readonly #startsEarly: boolean;
  /** The kernel before takes every multiprocessor until its end. */
  #isBehindCooperative = false;

  /** @param startsEarly kernels may start before their predecessors end (compute capability 9 and later) */
  constructor(driver: CudaDriver, { startsEarly }: { startsEarly: boolean }) {
    this.#driver = driver;
    const stream = new BigUint64Array(1);
    requireSuccess(driver.cuStreamCreate(stream, STREAM_NON_BLOCKING), 'create a stream');
    this.handle = stream[0];
    this.#startsEarly = startsEarly;
    // Both attributes are a flag.
    this.#attribute.setInt32(8, 1, true);
    this.#config.setBigUint64(32, this.handle, true);
    this.#config.setBigUint64(40, driver.addressOf(this.#attribute.buffer), true);
  }

  run(command: Command): void {
    const driver = this.#driver;
    switch (command.kind) {
      case 'launch':
        return this.#launch(command.bindings, command.grid, command.label);
      case 'copy': {
        const { source, sourceOffset, target, targetOffset, byteLength } = command;
        const from = source.address + BigInt(sourceOffset);
        const to = target.address + BigInt(targetOffset);
        requireSuccess(
          driver.cuMemcpyDtoDAsync_v2(to, from, BigInt(byteLength), this.handle),
          `copy "${source.label}" to "${target.label}"`,
        );
        return;
      }
      case 'clear': {
        const { buffer, byteOffset, byteLength } = command;
        const from = buffer.address + BigInt(byteOffset);
        requireSuccess(
          driver.cuMemsetD8Async(from, 0, BigInt(byteLength), this.handle),
          `clear "${buffer.label}"`,
        );
      }
    }
  }

  /** Runs the commands as one graph from now on. */
  capture(commands: readonly Command[]): Handle {
    const driver = this.#driver;
    const graph = new BigUint64Array(1);
    requireSuccess(driver.cuStreamBeginCapture_v2(this.handle, CAPTURE_THREAD_LOCAL), 'begin a graph');
    try {
      for (const command of commands) this.run(command);
    } catch (error) {
      // What failed is worth telling, not that the capture is of no use since.
      if (driver.cuStreamEndCapture(this.handle, graph) === CUDA_SUCCESS) driver.cuGraphDestroy(graph[0]);
      throw error;
    }
    requireSuccess(driver.cuStreamEndCapture(this.handle, graph), 'end a graph');
    const executable = new BigUint64Array(1);
    const made = driver.cuGraphInstantiateWithFlags(executable, graph[0], 0n);
    requireSuccess(driver.cuGraphDestroy(graph[0]), 'free a graph');
    requireSuccess(made, 'make a graph');
    return executable[0];
  }

  replay(executable: Handle): void {
    requireSuccess(this.#driver.cuGraphLaunch(executable, this.handle), 'launch a graph');
  }

  destroy(): void {
    this.#driver.cuStreamDestroy_v2(this.handle);
  }

  #launch({ program, extra }: CudaBindingSet, grid: Grid, label: string): void {
    if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return;
    const config = this.#config;
    const { threads, sharedBytes, isCooperative = false } = program.kernel.facts;
    const startsEarly = this.#startsEarly && !isCooperative && !this.#isBehindCooperative;
    this.#attribute.setUint32(0, isCooperative ? ATTRIBUTE_COOPERATIVE : ATTRIBUTE_EARLY_START, true);
    config.setUint32(48, isCooperative || startsEarly ? 1 : 0, true);
    this.#isBehindCooperative = isCooperative;
    config.setUint32(0, grid[0], true);
    config.setUint32(4, grid[1], true);
    config.setUint32(8, grid[2], true);
    config.setUint32(12, threads, true);
    config.setUint32(16, 1, true);
    config.setUint32(20, 1, true);
    config.setUint32(24, sharedBytes, true);
    const result = this.#driver.cuLaunchKernelEx(this.#configBytes, program.handle, 0n, extra);
    requireSuccess(result, `launch "${program.label}" for ${label} on ${grid.join(' x ')} blocks`);
  }
}
