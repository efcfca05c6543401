import { AutoglmError } from '../base/errors.ts';
import type { ModelCatalog } from './model-catalog.ts';
import type { ReadOptions, ShardSource } from './shard-source.ts';

/** How the texts of a model are read. */
export type TextReader = Pick<ShardSource, 'readText' | 'readOptionalText'>;

/** Files beside the weights that a model can be used with; kept with it, so that it works without a network. */
export const MODEL_TEXT_PATHS = [
  'tensor-cache.json',
  'config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'video_preprocessor_config.json',
  'processor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
] as const;

/**
 * Reads texts through the catalog: what it has is not fetched again if `isTrusted`, and everything fetched is
 * kept. Absence is kept as well, or an optional file would need the network for ever.
 */
export function createCachedTexts(
  source: ShardSource,
  catalog: ModelCatalog,
  isTrusted: () => boolean,
): TextReader {
  const fetched = new Set<string>();
  const readOptionalText = async (path: string, options?: ReadOptions): Promise<string | undefined> => {
    const kept = isTrusted() || fetched.has(path) ? await catalog.getText(source.id, path) : undefined;
    if (kept !== undefined) return kept.text;
    const text = await source.readOptionalText(path, options);
    await catalog.putText(source.id, path, text);
    fetched.add(path);
    return text;
  };
  const readText = async (path: string, options?: ReadOptions): Promise<string> => {
    const text = await readOptionalText(path, options);
    // Asked again without the cache, for the source's own account of what is wrong.
    return text ?? (isTrusted() ? missing(source.label, path) : source.readText(path, options));
  };
  return { readText, readOptionalText };
}

function missing(label: string, path: string): never {
  throw new AutoglmError('file-missing', `${label} has no file ${path}.`, {
    value: path,
    cure: 'Convert the model again with "autoglm convert".',
  });
}
