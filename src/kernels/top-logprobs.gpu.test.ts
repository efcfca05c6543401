import { describe, expect, it } from 'vitest';
import type { DeviceBuffer, Grid } from '../gpu/device.ts';
import { mergeLogprobs } from './merge-logprobs.ts';
import { randomFloats, ref, useDevice } from './parity.test-support.ts';
import { FAULT_TOKEN } from './sampler-prelude.ts';
import { rankingByteLengths, topLogprobs } from './top-logprobs.ts';
import { topLogprobsReference, type ReferenceLogprob } from './top-logprobs.reference.ts';

interface Options {
  readonly V: number;
  readonly K: number;
  readonly workgroup?: number;
  /** Words of `Row`; the target is taken from there, and the results go to a ring of this length. */
  readonly ring?: number;
}

describe('TopLogprobs', () => {
  const device = useDevice();

  /** Runs both kernels on rows of logits; gives each place of the results as target and ranking. */
  async function run(
    logits: readonly Float32Array[],
    targets: Uint32Array<ArrayBuffer>,
    { V, K, workgroup = 64, ring }: Options,
  ): Promise<{ target: ReferenceLogprob; top: ReferenceLogprob[] }[]> {
    const batch = logits.length;
    const places = ring === undefined ? batch : batch * ring;
    const lengths = {
      ...rankingByteLengths({ V, batch, K }),
      logits: batch * V * 4,
      targets: targets.byteLength,
      logprobs: places * (K + 1) * 8,
    };
    const buffers: Record<string, DeviceBuffer> = {};
    for (const [label, byteLength] of Object.entries(lengths)) {
      buffers[label] = await device().createBuffer({ label, byteLength, usage: 'storage' });
    }
    logits.forEach((row, index) =>
      device().write(buffers['logits']!, index * V * 4, row as Float32Array<ArrayBuffer>),
    );
    device().write(buffers['targets']!, 0, targets);
    const shared = {
      label: 'test',
      batch,
      V,
      K,
      workgroup,
      logits: ref('logits'),
      best: ref('best'),
      sums: ref('sums'),
    };
    const target = ring === undefined ? { targets: ref('targets') } : { rows: ref('targets'), ring };
    const calls = [topLogprobs(shared), mergeLogprobs({ ...shared, target, logprobs: ref('logprobs') })];
    const recorder = device().createRecorder('logprobs');
    for (const call of calls) {
      const program = await device().createProgram(call.program);
      const ranges = Object.entries(call.bindings).map(([name, { buffer }]) => [
        name,
        { buffer: buffers[buffer]! },
      ]);
      recorder.dispatch(device().createBindingSet(program, Object.fromEntries(ranges)), call.grid as Grid);
    }
    recorder.submit();
    const bytes = await device().read(buffers['logprobs']!, 0, lengths.logprobs);
    for (const buffer of Object.values(buffers)) buffer.destroy();
    const words = new Uint32Array(bytes);
    const floats = new Float32Array(bytes);
    const at = (index: number): ReferenceLogprob => ({
      id: words[index * 2]!,
      logprob: floats[index * 2 + 1]!,
    });
    return Array.from({ length: places }, (_, place) => ({
      target: at(place * (K + 1)),
      top: Array.from({ length: K }, (__, rank) => at(place * (K + 1) + 1 + rank)),
    }));
  }

  const cases = [
    { V: 31, K: 20, rows: 3 },
    { V: 320, K: 1, rows: 16 },
    { V: 1000, K: 5, rows: 2 },
    { V: 2048, K: 20, rows: 8 },
    { V: 5003, K: 20, rows: 2, workgroup: 256 },
    { V: 151552, K: 20, rows: 2 },
  ];
  it.each(cases)(
    'ranks as the reference for $rows rows of $V, $K best',
    async ({ V, K, rows, workgroup = 64 }) => {
      const logits = Array.from({ length: rows }, (_, row) => randomFloats(V, row + 1, 5));
      const targets = Uint32Array.from({ length: rows }, (_, row) => (row * 7919) % V);
      const results = await run(logits, targets, { V, K, workgroup });
      results.forEach(({ target, top }, row) => {
        const expected = topLogprobsReference(logits[row]!, K, targets[row]!);
        expect(top.map(({ id }) => id)).toEqual(expected.top.map(({ id }) => id));
        top.forEach(({ logprob }, rank) => expect(logprob).toBeCloseTo(expected.top[rank]!.logprob, 4));
        expect(target.id).toBe(expected.target.id);
        expect(target.logprob).toBeCloseTo(expected.target.logprob, 4);
      });
    },
  );

  it('orders equal logits by id, across chunks', async () => {
    const V = 3000;
    const logits = new Float32Array(V);
    logits[2500] = 1;
    const [result] = await run([logits], Uint32Array.of(7), { V, K: 4 });
    expect(result!.top.map(({ id }) => id)).toEqual([2500, 0, 1, 2]);
  });

  it('leaves places empty where too few tokens are possible', async () => {
    const V = 1100;
    const logits = new Float32Array(V).fill(-Infinity);
    logits[3] = 1;
    logits[1050] = 1;
    const [result] = await run([logits], Uint32Array.of(5), { V, K: 3 });
    expect(result!.top.map(({ id }) => id)).toEqual([3, 1050, FAULT_TOKEN]);
    expect(result!.top[0]!.logprob).toBeCloseTo(Math.log(0.5), 5);
    expect(result!.target.logprob).toBeLessThan(-1e38);
  });

  it('marks a row that holds a NaN, and no other', async () => {
    const V = 64;
    const bad = randomFloats(V, 1);
    bad[9] = NaN;
    const results = await run([bad, randomFloats(V, 2)], Uint32Array.of(1, FAULT_TOKEN), { V, K: 2 });
    expect(results[0]!.top[0]!.logprob).toBeLessThan(-1e38);
    expect(results[1]!.top[0]!.logprob).toBeGreaterThan(-10);
    expect(results[1]!.target).toEqual({ id: FAULT_TOKEN, logprob: 0 });
  });

  it('takes the chosen token from the rows and keeps a ring for each slot', async () => {
    const V = 200;
    const logits = [randomFloats(V, 1), randomFloats(V, 2)];
    // position (3 words), token, cache index, slot, tokens generated, reserved
    const rows = Uint32Array.of(0, 0, 0, 17, 0, 1, 6, 0, 0, 0, 0, 18, 0, 0, 1, 0);
    const results = await run(logits, rows, { V, K: 2, ring: 4 });
    const expected = [logits[0]!, logits[1]!].map((row, index) => topLogprobsReference(row, 2, 17 + index));
    const [first, second] = [results[1 * 4 + 1]!, results[0]!];
    expect([first.target.id, second.target.id]).toEqual([17, 18]);
    expect(first.target.logprob).toBeCloseTo(expected[0]!.target.logprob, 4);
    expect(second.top.map(({ id }) => id)).toEqual(expected[1]!.top.map(({ id }) => id));
  });
});
