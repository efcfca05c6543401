import { assert } from '../base/assert.ts';
import { AutoglmError } from '../base/errors.ts';
import type { Capabilities } from '../gpu/capabilities.ts';
import type {
  BufferDescriptor,
  BufferRange,
  Device,
  DeviceBuffer,
  ProfilingRecorder,
  Program,
  ProgramDescriptor,
  Recorder,
} from '../gpu/device.ts';
import { programLabel } from '../gpu/shader-source.ts';
import type { CudaDriver, Handle } from './cuda-driver.ts';
import { CudaGraphCache } from './cuda-graph-cache.ts';
import { bufferNames, parameterOf, resolveKernel, type KernelManifest } from './cuda-kernels.ts';
import { packParameters } from './cuda-parameters.ts';
import { CudaReadback } from './cuda-readback.ts';
import { CudaProfilingRecorder, CudaRecorder, type LaunchTimer } from './cuda-recorder.ts';
import { CudaBuffer, cudaBuffer, type CudaBindingSet, type CudaProgram } from './cuda-resources.ts';
import { cudaError, CUDA_OUT_OF_MEMORY, CUDA_SUCCESS, isFatal, requireSuccess } from './cuda-result.ts';
import { CudaStream, type Command } from './cuda-stream.ts';
import { CudaUploadRing } from './cuda-upload-ring.ts';
import { CudaWaiter } from './cuda-waiter.ts';

/** CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
const MAX_DYNAMIC_SHARED_BYTES = 8;
/** Dynamic shared memory that every kernel may have without asking. */
const PLAIN_SHARED_BYTES = 48 * 1024;

/** What an opened GPU is made of. */
export interface CudaDeviceParts {
  readonly driver: CudaDriver;
  readonly capabilities: Capabilities;
  readonly manifest: KernelManifest;
  /** The loaded module. */
  readonly module: Handle;
  /** Ordinal for the release of its context. */
  readonly ordinal: number;
  /** Kernels may start before their predecessors end. */
  readonly startsEarly: boolean;
}

/** The device seam on the CUDA driver. Open one with `openCudaDevice`. */
export class CudaDevice implements Device {
  readonly capabilities: Capabilities;
  readonly lost: Promise<AutoglmError>;
  readonly #parts: CudaDeviceParts;
  readonly #driver: CudaDriver;
  readonly #stream: CudaStream;
  readonly #graphs: CudaGraphCache;
  readonly #uploads: CudaUploadRing;
  readonly #waiter: CudaWaiter;
  readonly #readback: CudaReadback;
  readonly #buffers = new Set<CudaBuffer>();
  readonly #programs = new Map<string, CudaProgram>();
  #allocatedBytes = 0;
  #nextBindings = 1;
  #isDestroyed = false;
  #lostError: AutoglmError | undefined;
  #reportLoss: (error: AutoglmError) => void = () => {};

  constructor(parts: CudaDeviceParts) {
    const { driver, capabilities, startsEarly } = parts;
    this.capabilities = capabilities;
    this.#parts = parts;
    this.#driver = driver;
    this.lost = new Promise((resolve) => (this.#reportLoss = resolve));
    this.#stream = new CudaStream(driver, { startsEarly });
    this.#graphs = new CudaGraphCache(driver, this.#stream);
    this.#uploads = new CudaUploadRing(driver, this.#stream.handle);
    this.#waiter = new CudaWaiter(driver, this.#stream.handle, (result, action) =>
      this.#noteFault(result, action),
    );
    this.#readback = new CudaReadback(driver, this.#stream.handle, this.#waiter);
  }

  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  /** The buffer holds zeros, as WebGPU's do. */
  async createBuffer({ label, byteLength }: BufferDescriptor): Promise<DeviceBuffer> {
    this.#requireAlive();
    // Kernels may read in 16-byte vectors; the length that is told is that of whole words, as WebGPU's.
    const size = Math.max(4, Math.ceil(byteLength / 4) * 4);
    const allocated = Math.ceil(size / 16) * 16;
    const limit = this.capabilities.limits.maxBufferBytes;
    if (size > limit) {
      throw new AutoglmError(
        'limit-exceeded',
        `Cannot create buffer "${label}": it needs ${size} bytes and this GPU has ${limit}.`,
        { value: size, limit, cure: 'Use a smaller context or a stronger quantisation.' },
      );
    }
    const address = new BigUint64Array(1);
    const result = this.#driver.cuMemAlloc_v2(address, BigInt(allocated));
    if (result === CUDA_OUT_OF_MEMORY) throw this.#outOfMemory(label, size);
    requireSuccess(result, `create buffer "${label}"`);
    const buffer = new CudaBuffer({ label, byteLength: size, address: address[0] }, (gone) =>
      this.#forget(gone),
    );
    this.#buffers.add(buffer);
    this.#allocatedBytes += size;
    this.#stream.run({ kind: 'clear', buffer, byteOffset: 0, byteLength: size });
    return buffer;
  }

  async createProgram(descriptor: ProgramDescriptor): Promise<Program> {
    this.#requireAlive();
    const label = programLabel(descriptor);
    const known = this.#programs.get(label);
    if (known) return known;
    const kernel = resolveKernel(this.#parts.manifest, descriptor);
    const handle = this.#findFunction(kernel.symbol, kernel.facts.sharedBytes);
    const program = { label, kernel, handle, bindingNames: bufferNames(kernel.facts) };
    this.#programs.set(label, program);
    return program;
  }

  createBindingSet(program: Program, ranges: Readonly<Record<string, BufferRange>>): CudaBindingSet {
    const target = program as CudaProgram;
    const unknown = Object.keys(ranges).filter((name) => !target.bindingNames.includes(parameterOf(name)));
    assert(unknown.length === 0, `"${program.label}" declares no binding "${unknown.join('", "')}"`);
    const entries = Object.entries(ranges).map(
      ([name, { buffer, byteOffset = 0 }]) =>
        [name, cudaBuffer(buffer).address + BigInt(byteOffset)] as const,
    );
    const packed = packParameters(target.kernel, new Map(entries), (memory) =>
      this.#driver.addressOf(memory),
    );
    return { program: target, id: this.#nextBindings++, ...packed };
  }

  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.#requireAlive();
    const target = cudaBuffer(buffer);
    assert(
      byteOffset + data.byteLength <= target.byteLength,
      `a write to "${buffer.label}" goes past its end`,
    );
    this.#guard(() =>
      this.#uploads.write(target, byteOffset, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    );
  }

  async read(buffer: DeviceBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    this.#requireAlive();
    return this.#readback.read(cudaBuffer(buffer), byteOffset, byteLength);
  }

  submitAndRead(
    recorder: Recorder,
    buffer: DeviceBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<ArrayBuffer> {
    recorder.submit();
    return this.read(buffer, byteOffset, byteLength);
  }

  createRecorder(_label: string): Recorder {
    this.#requireAlive();
    return new CudaRecorder((commands) => this.#run(commands));
  }

  createProfilingRecorder(_label: string): ProfilingRecorder {
    this.#requireAlive();
    return new CudaProfilingRecorder(this.#createTimer(), (commands) => this.#run(commands));
  }

  async idle(): Promise<void> {
    this.#requireAlive();
    await this.#waiter.wait('wait for the GPU');
  }

  destroy(): void {
    if (this.#isDestroyed) return;
    const driver = this.#driver;
    driver.cuStreamSynchronize(this.#stream.handle);
    this.#graphs.clear();
    for (const buffer of this.#buffers) buffer.destroy();
    this.#isDestroyed = true;
    this.#uploads.destroy();
    this.#readback.destroy();
    this.#waiter.destroy(new AutoglmError('engine-unloaded', 'The GPU device was already destroyed.'));
    this.#stream.destroy();
    driver.cuModuleUnload(this.#parts.module);
    driver.cuDevicePrimaryCtxRelease_v2(this.#parts.ordinal);
  }

  #run(commands: readonly Command[]): void {
    this.#requireAlive();
    this.#guard(() => this.#graphs.run(commands));
  }

  /** Notes a fault that ends the context before it goes on. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof AutoglmError && error.code === 'device-lost') this.#lose(error);
      throw error;
    }
  }

  #findFunction(symbol: string, sharedBytes: number): Handle {
    const handle = new BigUint64Array(1);
    const action = `find the kernel "${symbol}"`;
    requireSuccess(this.#driver.cuModuleGetFunction(handle, this.#parts.module, symbol), action);
    if (sharedBytes > PLAIN_SHARED_BYTES) {
      const limit = this.capabilities.limits.maxWorkgroupStorageBytes;
      if (sharedBytes > limit) {
        throw new AutoglmError('limit-exceeded', `The kernel "${symbol}" needs more shared memory.`, {
          value: sharedBytes,
          limit,
          cure: 'Use --device webgpu.',
        });
      }
      const result = this.#driver.cuFuncSetAttribute(handle[0], MAX_DYNAMIC_SHARED_BYTES, sharedBytes);
      requireSuccess(result, `give "${symbol}" ${sharedBytes} bytes of shared memory`);
    }
    return handle[0];
  }

  #createTimer(): LaunchTimer {
    const driver = this.#driver;
    return {
      run: (command) => this.#guard(() => this.#stream.run(command)),
      mark: () => {
        const event = new BigUint64Array(1);
        requireSuccess(driver.cuEventCreate(event, 0), 'create an event');
        requireSuccess(driver.cuEventRecord(event[0], this.#stream.handle), 'mark a time');
        return event[0];
      },
      idle: () => this.#waiter.wait('wait for the GPU'),
      between: (start, end) => {
        const milliseconds = new Float32Array(1);
        requireSuccess(driver.cuEventElapsedTime_v2(milliseconds, start, end), 'measure a time');
        return milliseconds[0] * 1e6;
      },
      release: (marks) => marks.forEach((mark) => driver.cuEventDestroy_v2(mark)),
    };
  }

  #forget(buffer: CudaBuffer): void {
    // Graphs may name the memory; whatever is recorded next makes new ones.
    this.#buffers.delete(buffer);
    this.#allocatedBytes -= buffer.byteLength;
    const result = this.#driver.cuMemFree_v2(buffer.address);
    if (result !== CUDA_SUCCESS) this.#noteFault(result, `free "${buffer.label}"`);
  }

  #outOfMemory(label: string, size: number): AutoglmError {
    const free = new BigUint64Array(1);
    this.#driver.cuMemGetInfo_v2(free, new BigUint64Array(1));
    return new AutoglmError(
      'out-of-memory',
      `The GPU has no room for buffer "${label}" of ${size} bytes: ${free[0]} are free.`,
      {
        value: size,
        limit: Number(free[0]),
        cure: 'Close other programs that use the GPU, or choose a smaller context.',
      },
    );
  }

  #noteFault(result: number, action: string): void {
    if (isFatal(result)) this.#lose(cudaError(result, action));
  }

  #lose(error: AutoglmError): void {
    if (this.#lostError || this.#isDestroyed) return;
    this.#lostError = error;
    this.#reportLoss(error);
  }

  #requireAlive(): void {
    if (this.#lostError) throw this.#lostError;
    if (this.#isDestroyed) throw new AutoglmError('engine-unloaded', 'The GPU device was already destroyed.');
  }
}
