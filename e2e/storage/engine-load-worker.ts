import type { FitReport } from '../../src/engine/fit-report.ts';
import { openShardCache } from '../../src/engine/model-source.ts';
import { openBrowserEngine } from '../../src/engine/open-browser-engine.ts';
import { readRaw, type RawRead } from './read-raw.ts';

/** What the page asks its worker to load. */
export interface EngineLoadRequest {
  readonly url: string;
  readonly cache: 'none' | 'indexeddb' | 'opfs';
  readonly contextWindow: number;
  readonly outputTokens: number;
}

/** What a load came to. */
export interface EngineLoadResult {
  readonly loadMs: number;
  /** From the first weights to the last, compiling left out. */
  readonly streamMs: number;
  readonly compileMs: number;
  readonly storedBytes: number;
  readonly gpuBytes: number;
  readonly plan: FitReport | undefined;
  /** The kept shards, read and thrown away. */
  readonly raw: RawRead | undefined;
  readonly adapter: string;
  readonly tokenIds: readonly number[];
  readonly decodeTokensPerSecond: number;
}

/** Loads a model as the engine's worker does, and generates, without a tokenizer. */
async function run(request: EngineLoadRequest): Promise<EngineLoadResult> {
  const { url, cache, contextWindow, outputTokens } = request;
  const startedAt = performance.now();
  let [streamedAt, compiledAt, storedBytes] = [0, 0, 0];
  const engine = await openBrowserEngine({
    model: url,
    cache,
    contextWindow,
    onProgress: ({ phase, totalBytes, plan }) => {
      if (plan) streamedAt = performance.now();
      if (phase === 'compiling') compiledAt ||= performance.now();
      storedBytes = totalBytes;
    },
  });
  const loadedAt = performance.now();
  const { gpuBytes, adapter } = engine.info;
  const prompt = engine.prompts.fromTokens([1, 2, 3, 4, 5, 6, 7, 8], []);
  const tokenIds: number[] = [];
  const options = { max_tokens: outputTokens, ignore_eos: true, temperature: 0 };
  let firstAt = 0;
  for await (const { id } of engine.answer(prompt, options)) {
    firstAt ||= performance.now();
    tokenIds.push(id);
  }
  const decodeMs = performance.now() - firstAt;
  await engine.unload();
  const store = openShardCache({ model: url, cache });
  const raw = store && (await readRaw(store));
  return {
    raw,
    loadMs: loadedAt - startedAt,
    streamMs: compiledAt - streamedAt,
    compileMs: loadedAt - compiledAt,
    storedBytes,
    gpuBytes,
    plan: engine.plan(),
    adapter,
    tokenIds,
    decodeTokensPerSecond: ((tokenIds.length - 1) * 1000) / decodeMs,
  };
}

addEventListener('message', async ({ data }: MessageEvent<EngineLoadRequest>) => {
  try {
    postMessage({ result: await run(data) });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
