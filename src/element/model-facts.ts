/** What the poster says of a model before anything heavy is fetched. */
export interface ModelFacts {
  readonly name: string;
  /** Bytes of all shards. */
  readonly byteLength: number;
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
    return { name: modelName(modelUrl), byteLength: sizes.reduce((sum, size) => sum + size, 0) };
  } catch {
    return null;
  }
}
