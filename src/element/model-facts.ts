/** What the poster says of a model before anything heavy is fetched. */
export interface ModelFacts {
  readonly name: string;
  /** Bytes of all shards. */
  readonly byteLength: number;
  /** Bytes of them that this browser has already. */
  readonly keptBytes: number;
  /** Bytes of the KV cache for each token of context; 0 where the config does not tell. */
  readonly cacheBytesPerToken: number;
  /** Tokens that the model was trained for; 0 where the config does not tell. */
  readonly longestContext: number;
}

/** The last part of a model's address, such as `autoglm-tiny-q4f16_1`. */
export function modelName(model: string): string {
  return (
    model
      .replace(/[?#].*$/, '')
      .replace(/\/+$/, '')
      .split('/')
      .at(-1) ?? model
  );
}

/**
 * Reads the size from the model folder's `tensor-cache.json`; null where it cannot be read, because a poster
 * without a size is better than none. Errors come up in the load itself.
 */
export async function fetchModelFacts(modelUrl: string, signal: AbortSignal): Promise<ModelFacts | null> {
  try {
    const response = await fetch(`${modelUrl.replace(/\/+$/, '')}/tensor-cache.json`, { signal });
    if (!response.ok) return null;
    const manifest = (await response.json()) as { records?: readonly { nbytes?: unknown }[] };
    const sizes = manifest.records?.map(({ nbytes }) => nbytes) ?? [];
    if (sizes.length === 0 || !sizes.every((size) => typeof size === 'number')) return null;
    const byteLength = sizes.reduce((sum, size) => sum + size, 0);
    return {
      name: modelName(modelUrl),
      byteLength,
      keptBytes: await countKeptBytes(modelUrl),
      ...(await fetchCacheFacts(modelUrl, signal)),
    };
  } catch {
    return null;
  }
}

/** Zero where the browser keeps nothing, or does not let anybody look. */
async function countKeptBytes(modelUrl: string): Promise<number> {
  try {
    const { openModelStorage, toKeptId } = await import('../engine/model-storage.ts');
    const models = await openModelStorage().listModels();
    return models.find(({ id }) => id === toKeptId(modelUrl))?.keptBytes ?? 0;
  } catch {
    return 0;
  }
}

/** Tokens that the engine takes where nobody asks for a number. */
const DEFAULT_CONTEXT = 8192;

/** Bytes on the GPU that a model will need at least, before it is planned in earnest. */
export function estimateMemory(
  facts: ModelFacts,
  contextWindow: number | null,
): { readonly contextWindow: number; readonly weightBytes: number; readonly cacheBytes: number } | null {
  if (facts.cacheBytesPerToken === 0) return null;
  const context = Math.min(contextWindow ?? DEFAULT_CONTEXT, facts.longestContext || DEFAULT_CONTEXT);
  return {
    contextWindow: context,
    weightBytes: facts.byteLength,
    cacheBytes: facts.cacheBytesPerToken * context,
  };
}

interface TextConfig {
  readonly num_hidden_layers?: number;
  readonly num_key_value_heads?: number;
  readonly num_attention_heads?: number;
  readonly hidden_size?: number;
  readonly head_dim?: number;
  readonly max_position_embeddings?: number;
}

async function fetchCacheFacts(
  modelUrl: string,
  signal: AbortSignal,
): Promise<Pick<ModelFacts, 'cacheBytesPerToken' | 'longestContext'>> {
  try {
    const response = await fetch(`${modelUrl.replace(/\/+$/, '')}/config.json`, { signal });
    const config = (await response.json()) as TextConfig & { readonly text_config?: TextConfig };
    const text = config.text_config ?? config;
    const { num_hidden_layers: layers = 0, num_attention_heads: heads = 0, hidden_size: width = 0 } = text;
    const headSize = text.head_dim ?? (heads > 0 ? width / heads : 0);
    // Keys and values, two bytes each.
    const bytes = layers * (text.num_key_value_heads ?? heads) * headSize * 2 * 2;
    return {
      cacheBytesPerToken: Number.isFinite(bytes) ? bytes : 0,
      longestContext: text.max_position_embeddings ?? 0,
    };
  } catch {
    return { cacheBytesPerToken: 0, longestContext: 0 };
  }
}
