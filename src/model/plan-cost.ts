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

/** Shaders that read all of their weight: an embedding reads a row of its table, and a norm's weight is small. */
const PRODUCT = /^(mat|gate-up|decode-step)/;

/** Bindings of a product's weight, and of all products of a step that is one kernel. */
const MATRIX = /^(weight|head|layers\.\d+\.(qkv|o|gate_up|down))(_scale)?$/;

function matrixBytes({ program, bindings, weightBytes }: KernelCall): number {
  if (weightBytes !== undefined) return weightBytes;
  if (!PRODUCT.test(program.shader)) return 0;
  return Object.entries(bindings)
    .filter(([name]) => MATRIX.test(name))
    .reduce((total, [, { byteLength = 0 }]) => total + byteLength, 0);
}
