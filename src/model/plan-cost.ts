import type { KernelCall } from '../kernels/kernel.ts';
import type { Plan } from './plan.ts';

/** What one run of a Plan costs, counted from the Plan alone. */
export interface PlanCost {
  readonly dispatches: number;
  /** Bytes of weights that are read once. */
  readonly weightBytes: number;
  readonly scratchBytes: number;
}

/** Counts a Plan: numbers that do not depend on the machine, for `inspect`, the bench and the regression guard. */
export function measurePlan(plan: Plan): PlanCost {
  const scratchBytes = [...plan.scratch.values()].reduce((total, { byteLength }) => total + byteLength, 0);
  const weightBytes = plan.calls.reduce((total, call) => total + matrixBytes(call), 0);
  return { dispatches: plan.calls.length, weightBytes, scratchBytes };
}

/** An embedding reads a row, not the table; only matrix products read all of their weight. */
function matrixBytes({ program, bindings }: KernelCall): number {
  if (!program.shader.startsWith('mat')) return 0;
  return (bindings['weight']?.byteLength ?? 0) + (bindings['weight_scale']?.byteLength ?? 0);
}
