/** Where a command writes. Results go to stdout, everything else to stderr. */
export interface Terminal {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** True when stderr is a terminal, so that a progress line can be overwritten. */
  readonly interactive: boolean;
  /** Fires on Ctrl-C. */
  readonly signal: AbortSignal;
  /** The built `block-worker.ts`; absent when running from sources. */
  readonly workerUrl: URL | undefined;
}

const PROGRESS_INTERVAL_MS = 1000;

/** Shows a changing line on stderr, at most once a second; `end` leaves the last one standing. */
export class ProgressLine {
  readonly #terminal: Terminal;
  #shownAt = -Infinity;
  #pending = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(text: string): void {
    this.#pending = text;
    const now = performance.now();
    if (now - this.#shownAt < PROGRESS_INTERVAL_MS) return;
    this.#shownAt = now;
    this.#show();
  }

  end(): void {
    if (this.#pending !== '') this.#show();
    if (this.#terminal.interactive && this.#shownAt > 0) this.#terminal.stderr('\n');
  }

  #show(): void {
    this.#terminal.stderr(this.#terminal.interactive ? `\r\u001B[K${this.#pending}` : `${this.#pending}\n`);
    this.#pending = '';
  }
}

/** `1.23 GB` and the like, in units of 1000. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${bytes} B` : `${value.toPrecision(3)} ${units[unit]}`;
}
