import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Extent, KernelCall } from '../kernels/kernel.ts';
import { ref, useDevice } from '../kernels/parity.test-support.ts';
import { BufferTable } from './buffer-table.ts';
import { PlanBuilder } from './plan.ts';
import { PlanRunner, type RowCounts } from './plan-runner.ts';

const ADD = `
override AMOUNT: u32;
@group(0) @binding(0) var<storage, read_write> totals: array<u32>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
  totals[id.x] += AMOUNT;
}`;
const LENGTH = 12;

/** Adds `amount` to one element for each workgroup. */
function add(label: string, amount: number, extent: Extent): KernelCall {
  return {
    label,
    program: { shader: 'add', source: ADD, constants: { AMOUNT: amount } },
    bindings: { totals: ref('totals') },
    grid: [extent, 1, 1],
  };
}

describe('PlanRunner', () => {
  const device = useDevice();
  let buffers: BufferTable;
  beforeEach(() => {
    buffers = new BufferTable(device());
  });
  afterEach(() => buffers.destroy());

  async function createRunner(...calls: KernelCall[]): Promise<PlanRunner> {
    const builder = new PlanBuilder('test');
    builder.buffer('totals', LENGTH);
    builder.add(...calls);
    const plan = builder.build();
    await buffers.ensureScratch([plan]);
    return PlanRunner.create(device(), plan, buffers);
  }

  async function run(runner: PlanRunner, counts: RowCounts, from?: number, to?: number): Promise<number[]> {
    const recorder = device().createRecorder('test');
    recorder.clear(buffers.get('totals'));
    runner.record(recorder, counts, from, to);
    recorder.submit();
    return [...new Uint32Array(await device().read(buffers.get('totals'), 0, LENGTH * 4))];
  }

  const filled = (count: number, value: number): number[] =>
    Array.from({ length: LENGTH }, (_, index) => (index < count ? value : 0));

  it('runs one workgroup for every so many rows, and the last for the rest', async () => {
    const runner = await createRunner(add('a', 1, { rows: 'tokens', per: 4 }));
    expect(await run(runner, { tokens: 9 })).toEqual(filled(3, 1));
    expect(await run(runner, { tokens: 8 })).toEqual(filled(2, 1));
  });

  it('runs calls in order, or those from one label to another', async () => {
    const runner = await createRunner(add('a', 1, 2), add('b', 10, 2), add('b', 100, 2), add('c', 1000, 2));
    expect(await run(runner, {})).toEqual(filled(2, 1111));
    expect(runner.endOf('b')).toBe(3);
    expect(await run(runner, {}, 0, runner.endOf('b'))).toEqual(filled(2, 111));
    expect(await run(runner, {}, runner.endOf('b'))).toEqual(filled(2, 1000));
  });

  it('finds no end of a label that no call has', async () => {
    expect((await createRunner(add('a', 1, 1))).endOf('z')).toBe(0);
  });

  it('refuses a Plan whose buffer nobody made', async () => {
    const builder = new PlanBuilder('test');
    builder.add(add('a', 1, 1));
    await expect(PlanRunner.create(device(), builder.build(), buffers)).rejects.toThrow('"totals"');
  });

  it('reports a shader that does not compile', async () => {
    const call = add('a', 1, 1);
    const source = ADD.replace('AMOUNT;\n}', 'amount;\n}');
    await expect(
      createRunner({ ...call, program: { ...call.program, shader: 'faulty', source } }),
    ).rejects.toMatchObject({
      code: 'shader-invalid',
      message: expect.stringContaining('amount') as string,
    });
  });
});
