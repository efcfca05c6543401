import { describe, expect, it, vi } from 'vitest';
import type { LoadProgress } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import { askingToKeep } from './keep-storage.ts';

function progressOf(totalBytes: number): LoadProgress {
  return { phase: 'downloading', loadedBytes: 0, totalBytes, bytesPerSecond: 0 };
}

function loadWith(options: EngineOptions, totals: readonly number[]) {
  const request = vi.fn(() => Promise.reject(new Error('The browser refuses.')));
  const { onProgress } = askingToKeep(options, request);
  for (const total of totals) onProgress?.(progressOf(total));
  return request;
}

describe('askingToKeep', () => {
  it('asks once for a large model, and passes progress on', () => {
    const onProgress = vi.fn();
    // The size is known from the second report on.
    const request = loadWith({ model: '/model', onProgress }, [0, 5e9, 5e9]);
    expect(request).toHaveBeenCalledTimes(1);
    expect(onProgress.mock.calls.map(([{ totalBytes }]) => totalBytes)).toEqual([0, 5e9, 5e9]);
  });

  it.each<[string, EngineOptions, number]>([
    ['a small model', { model: '/model' }, 8e6],
    ['a model that is not kept', { model: '/model', cache: 'none' }, 5e9],
    ['files of the user', { model: [] }, 5e9],
  ])('does not ask for %s', (_, options, total) => {
    expect(loadWith(options, [total])).not.toHaveBeenCalled();
  });
});
