import type {
  BindingSet,
  DeviceBuffer,
  DispatchTime,
  Grid,
  ProfilingRecorder,
  Recorder,
} from '../gpu/device.ts';
import type { Handle } from './cuda-driver.ts';
import { cudaBuffer, type CudaBindingSet } from './cuda-resources.ts';
import type { Command } from './cuda-stream.ts';

/** Collects commands; `run` gets them all at once. */
export class CudaRecorder implements Recorder {
  protected readonly commands: Command[] = [];
  readonly #run: (commands: readonly Command[]) => void;

  constructor(run: (commands: readonly Command[]) => void) {
    this.#run = run;
  }

  dispatch(bindings: BindingSet, grid: Grid, label?: string): void {
    const set = bindings as CudaBindingSet;
    this.commands.push({ kind: 'launch', bindings: set, grid, label: label ?? set.program.label });
  }

  copy(
    source: DeviceBuffer,
    sourceOffset: number,
    target: DeviceBuffer,
    targetOffset: number,
    byteLength: number,
  ): void {
    this.commands.push({
      kind: 'copy',
      source: cudaBuffer(source),
      sourceOffset,
      target: cudaBuffer(target),
      targetOffset,
      byteLength,
    });
  }

  clear(buffer: DeviceBuffer, byteOffset = 0, byteLength = buffer.byteLength - byteOffset): void {
    this.commands.push({ kind: 'clear', buffer: cudaBuffer(buffer), byteOffset, byteLength });
  }

  submit(): void {
    this.#run(this.commands);
  }
}

/** What times launches. */
export interface LaunchTimer {
  run(command: Command): void;
  mark(): Handle;
  idle(): Promise<void>;
  /** Nanoseconds between two marks. */
  between(start: Handle, end: Handle): number;
  release(marks: readonly Handle[]): void;
}

/** Puts a mark before and after each launch. */
export class CudaProfilingRecorder extends CudaRecorder implements ProfilingRecorder {
  readonly #timer: LaunchTimer;

  constructor(timer: LaunchTimer, run: (commands: readonly Command[]) => void) {
    super(run);
    this.#timer = timer;
  }

  async submitAndMeasure(): Promise<DispatchTime[]> {
    const timer = this.#timer;
    const marks: { label: string; start: Handle; end: Handle }[] = [];
    for (const command of this.commands) {
      if (command.kind !== 'launch') {
        timer.run(command);
        continue;
      }
      const start = timer.mark();
      timer.run(command);
      marks.push({ label: command.label, start, end: timer.mark() });
    }
    await timer.idle();
    const times = marks.map(({ label, start, end }) => ({ label, nanoseconds: timer.between(start, end) }));
    timer.release(marks.flatMap(({ start, end }) => [start, end]));
    return times;
  }
}
