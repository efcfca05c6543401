import type { BindingSet, DeviceBuffer, DispatchTime, Grid, ProfilingRecorder, Recorder } from './device.ts';
import { bufferHandle, type WebGpuBindingSet } from './webgpu-resources.ts';

/** Records into one command encoder; consecutive dispatches share one compute pass. */
export class WebGpuRecorder implements Recorder {
  readonly #device: GPUDevice;
  readonly #encoder: GPUCommandEncoder;
  #pass: GPUComputePassEncoder | undefined;
  #pipeline: GPUComputePipeline | undefined;

  constructor(device: GPUDevice, label: string) {
    this.#device = device;
    this.#encoder = device.createCommandEncoder({ label });
  }

  dispatch(bindings: BindingSet, grid: Grid): void {
    const { program, group } = bindings as WebGpuBindingSet;
    this.#pass ??= this.#encoder.beginComputePass();
    if (this.#pipeline !== program.pipeline) {
      this.#pass.setPipeline(program.pipeline);
      this.#pipeline = program.pipeline;
    }
    this.#pass.setBindGroup(0, group);
    this.#pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
  }

  copy(
    source: DeviceBuffer,
    sourceOffset: number,
    target: DeviceBuffer,
    targetOffset: number,
    byteLength: number,
  ): void {
    this.#endPass();
    this.#encoder.copyBufferToBuffer(
      bufferHandle(source),
      sourceOffset,
      bufferHandle(target),
      targetOffset,
      byteLength,
    );
  }

  clear(buffer: DeviceBuffer, byteOffset = 0, byteLength = buffer.byteLength - byteOffset): void {
    this.#endPass();
    this.#encoder.clearBuffer(bufferHandle(buffer), byteOffset, byteLength);
  }

  submit(): void {
    this.submitWith(() => {});
  }

  /** Submits with commands of the encoder itself at the end; gives what they give. */
  submitWith<Result>(record: (encoder: GPUCommandEncoder) => Result): Result {
    this.#endPass();
    const result = record(this.#encoder);
    this.#device.queue.submit([this.#encoder.finish()]);
    return result;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#pipeline = undefined;
  }
}

/** Most dispatches that one query set can time (WebGPU allows 4,096 queries, two a dispatch). */
const MAX_TIMED_DISPATCHES = 2048;

/** Gives each dispatch a pass of its own with a timestamp at both ends. */
export class WebGpuProfilingRecorder implements ProfilingRecorder {
  readonly #device: GPUDevice;
  readonly #encoder: GPUCommandEncoder;
  readonly #queries: GPUQuerySet;
  readonly #labels: string[] = [];

  constructor(device: GPUDevice, label: string) {
    this.#device = device;
    this.#encoder = device.createCommandEncoder({ label });
    this.#queries = device.createQuerySet({ type: 'timestamp', count: MAX_TIMED_DISPATCHES * 2 });
  }

  dispatch(bindings: BindingSet, grid: Grid, label?: string): void {
    const { program, group } = bindings as WebGpuBindingSet;
    const index = this.#labels.length;
    const isTimed = index < MAX_TIMED_DISPATCHES;
    const pass = this.#encoder.beginComputePass(
      isTimed
        ? {
            timestampWrites: {
              querySet: this.#queries,
              beginningOfPassWriteIndex: index * 2,
              endOfPassWriteIndex: index * 2 + 1,
            },
          }
        : {},
    );
    pass.setPipeline(program.pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    pass.end();
    if (isTimed) this.#labels.push(label ?? program.label);
  }

  copy(
    source: DeviceBuffer,
    sourceOffset: number,
    target: DeviceBuffer,
    targetOffset: number,
    byteLength: number,
  ): void {
    this.#encoder.copyBufferToBuffer(
      bufferHandle(source),
      sourceOffset,
      bufferHandle(target),
      targetOffset,
      byteLength,
    );
  }

  clear(buffer: DeviceBuffer, byteOffset = 0, byteLength = buffer.byteLength - byteOffset): void {
    this.#encoder.clearBuffer(bufferHandle(buffer), byteOffset, byteLength);
  }

  submit(): void {
    this.#device.queue.submit([this.#encoder.finish()]);
    this.#queries.destroy();
  }

  async submitAndMeasure(): Promise<DispatchTime[]> {
    const count = this.#labels.length;
    const byteLength = Math.max(16, count * 16);
    const resolved = this.#device.createBuffer({
      size: byteLength,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const staging = this.#device.createBuffer({
      size: byteLength,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    this.#encoder.resolveQuerySet(this.#queries, 0, count * 2, resolved, 0);
    this.#encoder.copyBufferToBuffer(resolved, 0, staging, 0, byteLength);
    this.submit();
    await staging.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(staging.getMappedRange().slice(0));
    resolved.destroy();
    staging.destroy();
    return this.#labels.map((label, index) => ({
      label,
      nanoseconds: Number((times[index * 2 + 1] as bigint) - (times[index * 2] as bigint)),
    }));
  }
}
