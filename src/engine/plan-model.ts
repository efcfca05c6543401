import type { Capabilities } from '../gpu/capabilities.ts';
import { openWebGpuDevice } from '../gpu/webgpu-adapter.ts';
import { fitModel } from '../model/model-fit.ts';
import { openModel, type OpenModelOptions } from '../storage/model-loader.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import { toReport } from './device-fit.ts';
import type { EngineOptions } from './engine-options.ts';
import type { FitReport } from './fit-report.ts';
import { toFitRequest, type FitOptions } from './load-model.ts';
import { openModelSource, openShardCache } from './model-source.ts';
import { readModelTexts } from './model-texts.ts';

/** What `planSource` needs beside the source: what a load would be given. */
export type PlanSourceOptions = FitOptions & Pick<OpenModelOptions, 'cache' | 'refresh' | 'signal'>;

/** See `planModel` of the engine's entry. */
export async function planModel(options: EngineOptions): Promise<FitReport> {
  const device = await openWebGpuDevice();
  device.destroy();
  const cache = openShardCache(options);
  return planSource(openModelSource(options.model), device.capabilities, { ...options, cache });
}

/** What a model of that source takes on a device of these capabilities. */
export async function planSource(
  source: ShardSource,
  capabilities: Capabilities,
  { cache, refresh, signal, ...fit }: PlanSourceOptions = {},
): Promise<FitReport> {
  const files = await openModel(source, { cache, refresh, signal });
  const texts = await readModelTexts(files, signal);
  const request = toFitRequest(fit, files, texts);
  const shape = { config: texts.config, tensors: files.manifest.tensors, capabilities };
  return toReport(fitModel(shape, request), request, 'planned');
}
