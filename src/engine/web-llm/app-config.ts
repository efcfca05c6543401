import type { AppConfig, ModelRecord } from '@mlc-ai/web-llm';
import { AutoglmError } from '../../base/errors.ts';
import prebuiltModels from './prebuilt-models.json' with { type: 'json' };

/** Kinds of web-llm's models, for records. */
export const ModelType = { LLM: 0, embedding: 1, VLM: 2 } as const;

/** The `model_lib` of models that run on this package's engine: they need no compiled library. */
export const AUTOGLM_LIB = 'autoglm-web';

/** A record of an AutoGLM model: its id and the address of its folder, relative to the page or whole. */
export function createAutoglmRecord(modelId: string, url: string): ModelRecord {
  return { model_id: modelId, model: url, model_lib: AUTOGLM_LIB };
}

/**
 * Web-llm's models as of the version below, and AutoGLM's beside the page in `models/`. What these take on the GPU is
 * the planner's figure for the default context; `app-config.test.ts` compares it.
 */
export const prebuiltAppConfig: AppConfig = {
  cacheBackend: 'cache',
  model_list: [
    {
      ...createAutoglmRecord('AutoGLM-Phone-9B-q4f16_1', 'models/AutoGLM-Phone-9B-q4f16_1/'),
      vram_required_MB: 8378,
    },
    {
      ...createAutoglmRecord('autoglm-tiny-q4f16_1', 'models/autoglm-tiny-q4f16_1/'),
      vram_required_MB: 57.2,
    },
    ...(prebuiltModels as ModelRecord[]),
  ],
};

/** Version of web-llm's compiled libraries that its models here name. */
export const modelVersion = 'v0_2_86/base';

/** Where those libraries are. */
export const modelLibURLPrefix =
  'https://raw.githubusercontent.com/mlc-ai/binary-mlc-llm-libs/main/web-llm-models/';

/** Web-llm's models that it can call functions with; AutoGLM needs no list. */
export const functionCallingModelIds: string[] = [
  'Hermes-2-Pro-Llama-3-8B-q4f16_1-MLC',
  'Hermes-2-Pro-Llama-3-8B-q4f32_1-MLC',
  'Hermes-2-Pro-Mistral-7B-q4f16_1-MLC',
  'Hermes-3-Llama-3.1-8B-q4f32_1-MLC',
  'Hermes-3-Llama-3.1-8B-q4f16_1-MLC',
];

/** @throws AutoglmError `model-unknown` */
export function findRecord(modelId: string, { model_list: models }: AppConfig): ModelRecord {
  const record = models.find(({ model_id: id }) => id === modelId);
  if (record) return record;
  throw new AutoglmError('model-unknown', `The model "${modelId}" is not in the list of models.`, {
    value: modelId,
    limit: 'a model_id of appConfig.model_list',
    param: 'model',
    cure: 'Add a record for it to appConfig.model_list; see createAutoglmRecord.',
  });
}

/** True for a model that this package's engine runs; others run on web-llm itself. */
export function isAutoglm({ model_lib: lib }: ModelRecord): boolean {
  return lib === AUTOGLM_LIB;
}
