/** An item of one of several streams. */
export interface Merged<T> {
  readonly index: number;
  readonly item: T;
}

/**
 * Runs several streams at once and gives their items as they come; returns what each returned. Leaving the loop, or a
 * fault of one, ends all of them.
 *
 * @param abort is called first then: a stream that waits for its turn would end only after it.
 */
export async function* mergeAnswers<T, R>(
  streams: readonly AsyncGenerator<T, R>[],
  abort: () => void,
): AsyncGenerator<Merged<T>, R[]> {
  const results: R[] = [];
  const next = async (index: number): Promise<{ index: number; result: IteratorResult<T, R> }> => ({
    index,
    result: await (streams[index] as AsyncGenerator<T, R>).next(),
  });
  const pending = new Map(streams.map((_, index) => [index, next(index)]));
  // Those that lose the race to a fault are awaited in the end; until then theirs must not count as unhandled.
  for (const promise of pending.values()) promise.catch(() => {});
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      if (result.done) {
        results[index] = result.value;
        pending.delete(index);
        continue;
      }
      yield { index, item: result.value };
      const promise = next(index);
      promise.catch(() => {});
      pending.set(index, promise);
    }
    return results;
  } finally {
    if (pending.size > 0) abort();
    await Promise.allSettled(streams.map((stream) => stream.return(undefined as never)));
  }
}
