import type { BindingSet, Device, Grid, Recorder } from '../gpu/device.ts';
import { rowsWithin, type Extent, type RowCount } from '../kernels/kernel.ts';
import type { BufferTable } from './buffer-table.ts';
import type { Plan } from './plan.ts';

/** Rows of a step, by what they count. */
export type RowCounts = Partial<Record<RowCount, number>>;

interface ReadyCall {
  readonly label: string;
  readonly bindings: BindingSet;
  readonly grid: readonly [Extent, Extent, Extent];
}

/** A Plan with its programs compiled and its buffers bound; made by `create`. Recording costs one call a dispatch. */
export class PlanRunner {
  readonly plan: Plan;
  readonly #calls: readonly ReadyCall[];

  constructor(plan: Plan, calls: readonly ReadyCall[]) {
    this.plan = plan;
    this.#calls = calls;
  }

  /**
   * Compiles all programs of the Plan, concurrently, and binds its buffers. They must be in the table.
   *
   * @throws AutoglmError `shader-invalid`, `out-of-memory`, `device-lost`
   */
  static async create(device: Device, plan: Plan, buffers: BufferTable): Promise<PlanRunner> {
    const programs = await Promise.all(plan.calls.map(({ program }) => device.createProgram(program)));
    const calls = plan.calls.map(({ label, bindings, grid }, index) => {
      const ranges = Object.fromEntries(
        Object.entries(bindings).map(([name, range]) => [name, buffers.resolve(range)]),
      );
      return { label, grid, bindings: device.createBindingSet(programs[index], ranges) };
    });
    return new PlanRunner(plan, calls);
  }

  /** Records the calls [from, to). */
  record(recorder: Recorder, counts: RowCounts, from = 0, to = this.#calls.length): void {
    for (let index = from; index < to; index++) {
      const { label, bindings, grid } = this.#calls[index];
      const size = resolveGrid(grid, counts);
      // A piece that the step's rows do not reach.
      if (!size.includes(0)) recorder.dispatch(bindings, size, label);
    }
  }

  /** Index after the call of that label; the state that the call leaves can be read there. */
  endOf(label: string): number {
    return this.#calls.findLastIndex((call) => call.label === label) + 1;
  }
}

function resolveGrid(grid: readonly [Extent, Extent, Extent], counts: RowCounts): Grid {
  return [resolveExtent(grid[0], counts), resolveExtent(grid[1], counts), resolveExtent(grid[2], counts)];
}

function resolveExtent(extent: Extent, counts: RowCounts): number {
  if (typeof extent === 'number') return extent;
  const rows = counts[extent.rows] ?? 0;
  return Math.ceil((extent.piece ? rowsWithin(extent.piece, rows) : rows) / extent.per);
}
