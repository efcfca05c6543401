import { assert } from '../base/assert.ts';
import { AutoglmError } from '../base/errors.ts';
import type { Capabilities } from './capabilities.ts';
import type {
  BufferDescriptor,
  BufferRange,
  Device,
  DeviceBuffer,
  ProfilingRecorder,
  Program,
  ProgramDescriptor,
  Recorder,
  Uploads,
} from './device.ts';
import { ReadBacks } from './read-backs.ts';
import { composeShader, formatCompilerMessage, programLabel, reflectBindings } from './shader-source.ts';
import { UploadRing } from './upload-ring.ts';
import { WebGpuProfilingRecorder, WebGpuRecorder } from './webgpu-recorder.ts';
import { bufferHandle, WebGpuBuffer, type WebGpuBindingSet, type WebGpuProgram } from './webgpu-resources.ts';

/** The device seam on WebGPU. Open one with `openWebGpuDevice` or, in Node, `openNodeDevice`. */
export class WebGpuDevice implements Device {
  readonly capabilities: Capabilities;
  readonly lost: Promise<AutoglmError>;
  /** For code that only WebGPU has, such as the upload ring. */
  readonly handle: GPUDevice;
  readonly #buffers = new Set<WebGpuBuffer>();
  readonly #programs = new Map<string, Promise<WebGpuProgram>>();
  readonly #readBacks: ReadBacks;
  readonly #destroyListeners: (() => void)[] = [];
  readonly #modules = new Map<string, Promise<GPUShaderModule>>();
  #allocatedBytes = 0;
  #lostError: AutoglmError | undefined;
  #isDestroyed = false;

  constructor(handle: GPUDevice, capabilities: Capabilities) {
    this.handle = handle;
    this.capabilities = capabilities;
    this.#readBacks = new ReadBacks(handle);
    this.lost = this.#watchLoss();
  }

  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  async createBuffer({ label, byteLength, usage }: BufferDescriptor): Promise<DeviceBuffer> {
    this.#requireAlive();
    const size = Math.max(4, Math.ceil(byteLength / 4) * 4);
    const limit = this.capabilities.limits.maxBufferBytes;
    if (size > limit) {
      throw new AutoglmError(
        'limit-exceeded',
        `Cannot create buffer "${label}": it needs ${size} bytes and this device allows ${limit}.`,
        { value: size, limit, cure: 'Use a smaller context or a stronger quantisation.' },
      );
    }
    this.handle.pushErrorScope('validation');
    this.handle.pushErrorScope('out-of-memory');
    const handle = this.handle.createBuffer({ label, size, usage: usageFlags(usage) });
    const [memoryError, validationError] = await this.#explained(
      `create buffer "${label}"`,
      Promise.all([this.handle.popErrorScope(), this.handle.popErrorScope()]),
    );
    if (memoryError) {
      handle.destroy();
      throw new AutoglmError('out-of-memory', `The GPU has no room for buffer "${label}" of ${size} bytes.`, {
        value: size,
        limit: this.#allocatedBytes,
        cure: 'Close other programs that use the GPU, or choose a smaller context.',
        cause: memoryError,
      });
    }
    if (validationError) throw validationFault(`create buffer "${label}"`, validationError);
    this.#requireAlive();
    const buffer = new WebGpuBuffer(handle, (gone) => this.#forget(gone));
    this.#buffers.add(buffer);
    this.#allocatedBytes += size;
    return buffer;
  }

  createProgram(descriptor: ProgramDescriptor): Promise<WebGpuProgram> {
    this.#requireAlive();
    const label = programLabel(descriptor);
    let program = this.#programs.get(label);
    if (!program) {
      program = this.#compile(descriptor, label);
      this.#programs.set(label, program);
    }
    return program;
  }

  createBindingSet(program: Program, ranges: Readonly<Record<string, BufferRange>>): WebGpuBindingSet {
    const target = program as WebGpuProgram;
    const names = Object.keys(ranges);
    const unknown = names.filter((name) => !target.bindingIndices.has(name));
    const missing = target.bindingNames.filter((name) => !names.includes(name));
    assert(unknown.length === 0, `"${program.label}" declares no binding "${unknown.join('", "')}"`);
    assert(missing.length === 0, `"${program.label}" needs a binding for "${missing.join('", "')}"`);
    const entries = names.map((name) => ({
      binding: target.bindingIndices.get(name) as number,
      resource: bindingResource(ranges[name] as BufferRange),
    }));
    const group = this.handle.createBindGroup({ label: program.label, layout: target.layout, entries });
    return { program: target, group };
  }

  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.handle.queue.writeBuffer(
      bufferHandle(buffer),
      byteOffset,
      data.buffer,
      data.byteOffset,
      data.byteLength,
    );
  }

  openUploads(): Uploads {
    this.#requireAlive();
    return new UploadRing(this.handle, { explain: (cause) => this.#explainFailure('upload weights', cause) });
  }

  async read(buffer: DeviceBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    return this.submitAndRead(this.createRecorder(`read ${buffer.label}`), buffer, byteOffset, byteLength);
  }

  async submitAndRead(
    recorder: Recorder,
    buffer: DeviceBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<ArrayBuffer> {
    this.#requireAlive();
    const size = Math.ceil(byteLength / 4) * 4;
    const staging = (recorder as WebGpuRecorder).submitWith((encoder) =>
      this.#readBacks.record(encoder, bufferHandle(buffer), byteOffset, size),
    );
    const bytes = await this.#explained(`read buffer "${buffer.label}"`, this.#readBacks.take(staging));
    return bytes.byteLength === byteLength ? bytes : bytes.slice(0, byteLength);
  }

  createRecorder(label: string): Recorder {
    this.#requireAlive();
    return new WebGpuRecorder(this.handle, label);
  }

  createProfilingRecorder(label: string): ProfilingRecorder {
    this.#requireAlive();
    if (!this.capabilities.hasTimestamps) {
      throw new AutoglmError(
        'webgpu-unavailable',
        'This adapter has no timestamps, so kernels cannot be timed.',
        {
          limit: 'timestamp-query',
          cure: 'Time whole runs instead.',
        },
      );
    }
    return new WebGpuProfilingRecorder(this.handle, label);
  }

  async idle(): Promise<void> {
    await this.#explained('wait for the GPU', this.handle.queue.onSubmittedWorkDone());
    this.#requireAlive();
  }

  /** Runs `listener` once when the device is destroyed. */
  onDestroy(listener: () => void): void {
    this.#destroyListeners.push(listener);
  }

  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    for (const buffer of this.#buffers) buffer.destroy();
    this.#readBacks.destroy();
    this.handle.destroy();
    for (const listener of this.#destroyListeners) listener();
  }

  #forget(buffer: WebGpuBuffer): void {
    this.#buffers.delete(buffer);
    this.#allocatedBytes -= buffer.byteLength;
  }

  async #watchLoss(): Promise<AutoglmError> {
    const info = await this.handle.lost;
    // A destroyed device is not lost: nobody waits for this promise any more.
    if (this.#isDestroyed) return new Promise(() => {});
    this.#lostError = new AutoglmError(
      'device-lost',
      `The GPU device was lost: ${info.message || info.reason}.`,
      {
        value: info.reason,
        cure: 'Load the model again; if it repeats, choose a smaller context.',
      },
    );
    return this.#lostError;
  }

  #requireAlive(): void {
    const error = this.#goneError();
    if (error) throw error;
  }

  #goneError(): AutoglmError | undefined {
    if (this.#lostError || !this.#isDestroyed) return this.#lostError;
    return new AutoglmError('engine-unloaded', 'The GPU device was already destroyed.');
  }

  /** A lost device fails each call in a way of its own: here they become one error. */
  async #explained<T>(action: string, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      throw await this.#explainFailure(action, cause);
    }
  }

  async #explainFailure(action: string, cause: unknown): Promise<AutoglmError> {
    const gone = this.#goneError();
    if (gone) return gone;
    // The loss is reported a moment after the call that it failed.
    await Promise.race([this.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
    return this.#goneError() ?? new AutoglmError('gpu-validation', `Cannot ${action}.`, { cause });
  }

  async #compile(descriptor: ProgramDescriptor, label: string): Promise<WebGpuProgram> {
    const shader = composeShader(descriptor);
    const bindings = reflectBindings(shader.code);
    const layout = this.handle.createBindGroupLayout({
      label,
      entries: bindings.map(({ index, kind }) => ({
        binding: index,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: kind },
      })),
    });
    const module = await this.#compileModule(shader, label);
    try {
      const pipeline = await this.handle.createComputePipelineAsync({
        label,
        layout: this.handle.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main', constants: { ...descriptor.constants } },
      });
      const bindingIndices = new Map(bindings.map(({ name, index }) => [name, index]));
      return { label, pipeline, layout, bindingIndices, bindingNames: bindings.map(({ name }) => name) };
    } catch (cause) {
      const fault = await this.#explainFailure(`build the pipeline "${label}"`, cause);
      if (fault.code !== 'gpu-validation') throw fault;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AutoglmError('shader-invalid', `Cannot build the pipeline "${label}": ${reason}`, { cause });
    }
  }

  #compileModule(shader: ReturnType<typeof composeShader>, label: string): Promise<GPUShaderModule> {
    let module = this.#modules.get(shader.code);
    if (!module) {
      module = this.#checkModule(shader, label);
      this.#modules.set(shader.code, module);
    }
    return module;
  }

  async #checkModule(shader: ReturnType<typeof composeShader>, label: string): Promise<GPUShaderModule> {
    this.handle.pushErrorScope('validation');
    const module = this.handle.createShaderModule({ label, code: shader.code });
    const [error, info] = await this.#explained(
      `compile "${label}"`,
      Promise.all([this.handle.popErrorScope(), module.getCompilationInfo()]),
    );
    const faults = info.messages.filter(({ type }) => type === 'error');
    if (faults.length > 0 || error) {
      const places = faults.map(({ message, lineNum, linePos }) =>
        formatCompilerMessage(shader, { message, line: lineNum, column: linePos }),
      );
      throw new AutoglmError(
        'shader-invalid',
        `Cannot compile "${label}":\n${places.join('\n') || error?.message}`,
      );
    }
    return module;
  }
}

function usageFlags(usage: BufferDescriptor['usage']): number {
  const copy = GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  return copy | (usage === 'uniform' ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE);
}

function bindingResource({ buffer, byteOffset, byteLength }: BufferRange): GPUBufferBinding {
  return {
    buffer: bufferHandle(buffer),
    ...(byteOffset === undefined ? {} : { offset: byteOffset }),
    ...(byteLength === undefined ? {} : { size: byteLength }),
  };
}

function validationFault(action: string, error: GPUError): AutoglmError {
  return new AutoglmError('gpu-validation', `Cannot ${action}: ${error.message}`, { cause: error });
}
