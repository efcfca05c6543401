import { openWebGpuDevice } from '../gpu/webgpu-adapter.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { createSyntheticModel, SYNTHETIC_9B } from '../model/synthetic-model.ts';
import {
  benchContext,
  createBenchReport,
  describeReport,
  type BenchReport,
  type BenchRequest,
} from './bench-report.ts';
import { openBrowserEngine } from './open-browser-engine.ts';

/** What a page or a worker measured: the same object as `autoglm bench --json`, and as lines of text. */
export interface BrowserBench {
  readonly report: BenchReport;
  readonly text: string;
}

/** Loads a model on the browser's GPU, measures it and frees it. */
export async function runBrowserBench(request: BenchRequest): Promise<BrowserBench> {
  const startedAt = performance.now();
  const model = await load(request);
  try {
    const report = await createBenchReport(model, request, { loadMs: performance.now() - startedAt });
    return { report, text: describeReport(report) };
  } finally {
    model.device.destroy();
  }
}

async function load(request: BenchRequest): Promise<LanguageModel> {
  const context = benchContext(request);
  const slots = Math.max(...request.batches);
  if (request.model === SYNTHETIC_9B) {
    return createSyntheticModel(await openWebGpuDevice(), { context, slots });
  }
  const engine = await openBrowserEngine({ model: request.model, contextWindow: context, slots });
  return engine.model;
}
