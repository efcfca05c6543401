/** One report of a load; the engine's own `LoadProgress` has these phases and more. */
export interface StorageProgress {
  readonly phase: 'downloading' | 'verifying' | 'uploading';
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Over the last seconds of this phase; 0 while unknown. */
  readonly bytesPerSecond: number;
}

/** Called a few times a second at most. */
export type OnStorageProgress = (progress: StorageProgress) => void;

const WINDOW_MS = 3000;
const REPORT_INTERVAL_MS = 100;

/** Counts the bytes of one phase and reports them with a speed over the last seconds. */
export class ProgressMeter {
  readonly #phase: StorageProgress['phase'];
  readonly #totalBytes: number;
  readonly #onProgress: OnStorageProgress | undefined;
  readonly #samples: { timeMs: number; loadedBytes: number }[] = [];
  #loadedBytes = 0;
  #reportedAtMs = -Infinity;

  constructor(
    phase: StorageProgress['phase'],
    totalBytes: number,
    onProgress: OnStorageProgress | undefined,
  ) {
    this.#phase = phase;
    this.#totalBytes = totalBytes;
    this.#onProgress = onProgress;
  }

  /** Counts bytes, or takes back (negative) those that turned out to be wrong. */
  add(byteLength: number): void {
    this.#loadedBytes += byteLength;
    const now = performance.now();
    const isEnd = this.#loadedBytes >= this.#totalBytes;
    if (!isEnd && now - this.#reportedAtMs < REPORT_INTERVAL_MS) return;
    this.#reportedAtMs = now;
    this.report();
  }

  /** Reports at once. */
  report(): void {
    const { loadedBytes, bytesPerSecond } = { loadedBytes: this.#loadedBytes, bytesPerSecond: this.#speed() };
    this.#onProgress?.({ phase: this.#phase, loadedBytes, totalBytes: this.#totalBytes, bytesPerSecond });
  }

  #speed(): number {
    const timeMs = performance.now();
    this.#samples.push({ timeMs, loadedBytes: this.#loadedBytes });
    while (this.#samples.length > 2 && timeMs - (this.#samples[0]?.timeMs ?? 0) > WINDOW_MS)
      this.#samples.shift();
    const first = this.#samples[0];
    if (first === undefined || timeMs === first.timeMs) return 0;
    return Math.max(0, ((this.#loadedBytes - first.loadedBytes) * 1000) / (timeMs - first.timeMs));
  }
}
