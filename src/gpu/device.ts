import type { AutoglmError } from '../base/errors.ts';
import type { Capabilities } from './capabilities.ts';

/**
 * The device seam: Device, DeviceBuffer, Program and Recorder. It knows nothing of tensors or models.
 * Implementations: WebGPU (browser, and Dawn in Node); CUDA in the helper.
 */

/** What a buffer is for. Storage buffers can be written, copied and read back as well. */
export type BufferUsage = 'storage' | 'uniform';

/** How to create a buffer. */
export interface BufferDescriptor {
  /** Appears in every error that concerns the buffer. */
  readonly label: string;
  readonly byteLength: number;
  readonly usage: BufferUsage;
}

/** Memory on the device. Whoever created it destroys it; `destroy` is idempotent. */
export interface DeviceBuffer {
  readonly label: string;
  readonly byteLength: number;
  readonly isDestroyed: boolean;
  destroy(): void;
}

/** A range of a buffer. The offset is a multiple of `limits.bindingAlignment`. */
export interface BufferRange {
  readonly buffer: DeviceBuffer;
  readonly byteOffset?: number | undefined;
  readonly byteLength?: number | undefined;
}

/** A shader with everything that fixes its meaning; plain data, so that it can be printed and hashed. */
export interface ProgramDescriptor {
  /** Base name of the file in `shaders/`, such as `rms-norm`. */
  readonly shader: string;
  /** Text of that file. */
  readonly source: string;
  /** Texts put before it, by name: they define functions that the shader calls. */
  readonly preludes?: readonly Prelude[];
  /** Values of the shader's `override` constants. */
  readonly constants?: Readonly<Record<string, number>>;
  /** `const NAME: u32` lines put before it: sizes of function-local arrays, which `override` cannot give. */
  readonly shape?: Readonly<Record<string, number>>;
}

/** A named piece of shader text. */
export interface Prelude {
  readonly name: string;
  readonly source: string;
}

/** A compiled shader. Equal descriptors give the same program; programs live as long as the device. */
export interface Program {
  readonly label: string;
  /** Names of the bindings in binding order. */
  readonly bindingNames: readonly string[];
}

/** Buffers bound to a program, made once and used for many dispatches. */
export interface BindingSet {
  readonly program: Program;
}

/** Workgroups in x, y and z. */
export type Grid = readonly [number, number, number];

/** Records work and submits it in order. Dispatches see the writes of earlier ones. */
export interface Recorder {
  dispatch(bindings: BindingSet, grid: Grid, label?: string): void;
  copy(
    source: DeviceBuffer,
    sourceOffset: number,
    target: DeviceBuffer,
    targetOffset: number,
    byteLength: number,
  ): void;
  clear(buffer: DeviceBuffer, byteOffset?: number, byteLength?: number): void;
  /** Hands everything recorded to the device; the recorder is spent. */
  submit(): void;
}

/** One dispatch as the profiler saw it. */
export interface DispatchTime {
  readonly label: string;
  readonly nanoseconds: number;
}

/** Times each dispatch of a recorder; each gets a pass of its own, so the sum exceeds an unprofiled run. */
export interface ProfilingRecorder extends Recorder {
  /** Submits and waits for the times. Without timestamp support it throws `webgpu-unavailable`. */
  submitAndMeasure(): Promise<DispatchTime[]>;
}

/** A way for many large writes, such as a model's weights. */
export interface Uploads {
  /** As `Device.write`; `data` may be reused when the promise has resolved, which waits while too much is under way. */
  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView<ArrayBuffer>): Promise<void>;
  /** Resolves when everything is in its buffer. */
  finish(): Promise<void>;
  /** Frees what the way itself takes. */
  destroy(): void;
}

export interface Device {
  readonly capabilities: Capabilities;
  /** Bytes of all live buffers. */
  readonly allocatedBytes: number;
  /** Resolves with a `device-lost` error when the device goes away for any reason but `destroy`. */
  readonly lost: Promise<AutoglmError>;
  /** @throws AutoglmError `out-of-memory`, `limit-exceeded`, `device-lost` */
  createBuffer(descriptor: BufferDescriptor): Promise<DeviceBuffer>;
  /** @throws AutoglmError `shader-invalid` with file, line and caret; `gpu-validation` */
  createProgram(descriptor: ProgramDescriptor): Promise<Program>;
  /** Binds by the names that the shader declares. A missing or unknown name is an `internal` error. */
  createBindingSet(program: Program, ranges: Readonly<Record<string, BufferRange>>): BindingSet;
  /** Queues a write; `data` may be reused at once. Offset and length are multiples of 4. */
  write(buffer: DeviceBuffer, byteOffset: number, data: ArrayBufferView<ArrayBuffer>): void;
  /** Opens a faster way for large writes; a device without one takes `write`. Only one is open at a time. */
  openUploads?(): Uploads;
  /** Copies a range back. It sees all work submitted before the call. */
  read(buffer: DeviceBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer>;
  /**
   * Submits what was recorded and copies a range back as it is after that: in one submission where the device can, which
   * takes a decode step less time than two.
   */
  submitAndRead(
    recorder: Recorder,
    buffer: DeviceBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<ArrayBuffer>;
  createRecorder(label: string): Recorder;
  createProfilingRecorder(label: string): ProfilingRecorder;
  /** Resolves when everything submitted so far has run. */
  idle(): Promise<void>;
  /** Frees all buffers and the device. Idempotent. */
  destroy(): void;
}
