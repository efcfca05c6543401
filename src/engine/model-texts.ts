import { AutoglmError } from '../base/errors.ts';
import { parsePreprocessorConfig, type PreprocessorConfig } from '../image/preprocessor-config.ts';
import { parseModelConfig, type ModelConfig } from '../model/config.ts';
import {
  parseGenerationConfig,
  PLAIN_DEFAULTS,
  type GenerationDefaults,
} from '../sampling/generation-config.ts';
import type { ModelFiles } from '../storage/model-loader.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';

/** The json files of a model folder, read and checked. */
export interface ModelTexts {
  readonly config: ModelConfig;
  readonly generation: GenerationDefaults;
  /** Absent in folders that were converted without one; such a model takes token ids only. */
  readonly tokenizer: Tokenizer | undefined;
  /** Absent in folders without it; such a model takes no images. */
  readonly preprocessor: PreprocessorConfig | undefined;
}

/** Ids beyond the tokenizer's are padding rows of the head; a model without a tokenizer uses all. */
export function vocabularySizeOf({ config, tokenizer }: ModelTexts): number {
  return tokenizer ? Math.min(tokenizer.vocabSize, config.text.V) : config.text.V;
}

/**
 * Reads everything of a model folder but its weights.
 *
 * @throws AutoglmError `file-missing`, `config-invalid`, `architecture-unsupported`, `tokenizer-invalid`
 */
export async function readModelTexts(files: ModelFiles, signal?: AbortSignal): Promise<ModelTexts> {
  const options = signal ? { signal } : {};
  const read = (path: string): Promise<string | undefined> => files.readOptionalText(path, options);
  const [config, generation, preprocessor, tokenizerJson, tokenizerConfigJson, chatTemplate] =
    await Promise.all([
      files.readText('config.json', options),
      read('generation_config.json'),
      read('preprocessor_config.json'),
      read('tokenizer.json'),
      read('tokenizer_config.json'),
      read('chat_template.jinja'),
    ]);
  const texts: ModelTexts = {
    config: parseModelConfig(parseJson('config.json', config)),
    generation:
      generation === undefined
        ? PLAIN_DEFAULTS
        : parseGenerationConfig(parseJson('generation_config.json', generation)),
    preprocessor:
      preprocessor === undefined
        ? undefined
        : parsePreprocessorConfig(parseJson('preprocessor_config.json', preprocessor)),
    tokenizer:
      tokenizerJson === undefined
        ? undefined
        : Tokenizer.create({
            tokenizerJson,
            ...(tokenizerConfigJson !== undefined && { tokenizerConfigJson }),
            ...(chatTemplate !== undefined && { chatTemplate }),
          }),
  };
  requireSamePatches(texts);
  return texts;
}

/** Images prepared for another tower would have patches of another length. */
function requireSamePatches({ config: { vision }, preprocessor }: ModelTexts): void {
  if (preprocessor === undefined) return;
  const pairs = [
    ['patch_size', preprocessor.patchSize, vision.patchSize],
    ['merge_size', preprocessor.mergeSize, vision.spatialMergeSize],
    ['temporal_patch_size', preprocessor.temporalPatchSize, vision.temporalPatchSize],
  ] as const;
  for (const [key, value, limit] of pairs) {
    if (value === limit) continue;
    throw new AutoglmError(
      'config-invalid',
      `"${key}" of preprocessor_config.json is ${value}, and config.json asks for ${limit}.`,
      { value, limit, cure: 'Use the preprocessor_config.json that belongs to the checkpoint.' },
    );
  }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AutoglmError('config-invalid', `Cannot read ${file}: it is not JSON.`, {
      value: text.slice(0, 40),
      cure: 'Download or convert the model again.',
      cause,
    });
  }
}
