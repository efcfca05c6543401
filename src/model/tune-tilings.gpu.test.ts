/** Measured tilings on a real device: which one is the fastest is the device's affair, what they compute is not. */
import { describe, expect, it } from 'vitest';
import { useDevice } from '../kernels/parity.test-support.ts';
import { chooseCompileOptions, type CompileRequest, type Int8Tilings } from './compile-options.ts';
import {
  encodeGoldenPrompt,
  loadGoldenModel,
  readGoldenConfig,
  readGoldens,
} from './golden-model.test-support.ts';
import type { LanguageModel } from './language-model.ts';
import { Scheduler } from './scheduler.ts';
import { generateIds, textRequest } from './scheduler.test-support.ts';
import { tilingCandidates, TILED_PRODUCTS } from './tiling-candidates.ts';
import { parseTilings, tilingKey, type TilingMemory } from './tiling-memory.ts';

const NAME = 'glm4v-b';

class TestMemory implements TilingMemory {
  readonly records = new Map<string, unknown>();
  readonly asked: string[] = [];

  get(key: string): Promise<unknown> {
    this.asked.push(key);
    return Promise.resolve(this.records.get(key));
  }

  put(key: string, tilings: Int8Tilings): Promise<void> {
    this.records.set(key, JSON.parse(JSON.stringify(tilings)));
    return Promise.resolve();
  }
}

describe('withTunedTilings', () => {
  const device = useDevice();

  const load = (tilings: TilingMemory, request: Partial<CompileRequest> = {}): Promise<LanguageModel> =>
    loadGoldenModel(device(), NAME, 'q4f16_1', {
      arithmetic: 'int8',
      reduction: 'workgroup',
      tunesTilings: true,
      tilings,
      ...request,
    });

  async function expectGoldenAnswer(model: LanguageModel): Promise<void> {
    const { sequence, ropeDelta } = await encodeGoldenPrompt(model, await readGoldens(NAME), 'text');
    const scheduler = await Scheduler.create(model, { stepsInFlight: 4 });
    const { V } = model.config.text;
    const tokenIds = Array.from(sequence.tokenIds);
    const request = textRequest(tokenIds, { temperature: 0 }, { V, ropeDelta, maxTokens: 24 });
    const ids = await generateIds(scheduler, { ...request, positions: sequence.positions });
    expect(ids).toEqual([...(await readGoldens(NAME, 'golden-q4.safetensors')).int32('text.greedy_ids')]);
  }

  it(
    'measures once, leaves what it found to later loads, and changes no token',
    { timeout: 120_000 },
    async () => {
      const memory = new TestMemory();
      const first = await load(memory);
      const { capabilities } = device();
      const key = tilingKey(capabilities, first.config.text, first.options);
      expect([...memory.records.keys()]).toEqual([key]);
      const { int8Tilings } = first.text.options;
      expect(parseTilings(memory.records.get(key), first.options, capabilities)).toEqual(int8Tilings);
      await expectGoldenAnswer(first);
      first.destroy();

      // The last of each, to see that the record is what counts.
      const others = Object.fromEntries(
        TILED_PRODUCTS.map((product) => [
          product,
          tilingCandidates(product, first.options, capabilities).at(-1),
        ]),
      ) as Int8Tilings;
      expect(others).not.toEqual(first.options.int8Tilings);
      memory.records.set(key, others);
      const second = await load(memory);
      expect(second.text.options.int8Tilings).toEqual(others);
      await expectGoldenAnswer(second);
      second.destroy();
    },
  );

  it.each([
    ['where it is not to', { tunesTilings: false }],
    ['of products in f32', { arithmetic: 'f32' }],
  ] as const)('measures nothing %s', { timeout: 120_000 }, async (_, request) => {
    const memory = new TestMemory();
    const model = await load(memory, request);
    expect([memory.asked, model.text.options.int8Tilings]).toEqual([[], model.options.int8Tilings]);
    model.destroy();
  });

  it('measures anew where the record is of another device', { timeout: 120_000 }, async () => {
    const memory = new TestMemory();
    const config = await readGoldenConfig(NAME);
    const request = { context: 128, reduction: 'workgroup' } as const;
    const { capabilities } = device();
    const key = tilingKey(capabilities, config.text, chooseCompileOptions(capabilities, request));
    memory.records.set(key, { qkv: { lanes: 4096, sets: 1, rows: 4 } });
    const tuned = await load(memory);
    expect(memory.asked).toEqual([key]);
    expect(parseTilings(memory.records.get(key), tuned.options, capabilities)).toBeDefined();
    tuned.destroy();
  });
});
