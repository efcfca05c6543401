/** An answer while it grows. Its listeners are called at most once a frame, however fast tokens come. */
export class LiveReply {
  readonly turnId: string;
  #startedAt: number;
  #hasBegun = false;
  #text = '';
  #firstTokenAt: number | null = null;
  #thinkingEndedAt: number | null = null;
  #tokenCount = 0;
  #frame = 0;
  readonly #listeners = new Set<() => void>();

  constructor(turnId: string, now: number) {
    this.turnId = turnId;
    this.#startedAt = now;
  }

  /** False while the answer waits for the model to load or for another conversation's answer. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The engine has taken the request: times count from here. */
  begin(now: number): void {
    this.#startedAt = now;
    this.#hasBegun = true;
    this.#notify();
  }

  /** The raw text so far, tags included. */
  get text(): string {
    return this.#text;
  }

  /** Chunks so far, which is the count of tokens unless an engine joins several. */
  get tokenCount(): number {
    return this.#tokenCount;
  }

  /** Milliseconds until the first text; null before it. */
  get timeToFirstTokenMs(): number | null {
    return this.#firstTokenAt === null ? null : this.#firstTokenAt - this.#startedAt;
  }

  /** Tokens a second since the first one; 0 until two have come. */
  tokensPerSecond(now: number): number {
    if (this.#firstTokenAt === null || this.#tokenCount < 2) return 0;
    return ((this.#tokenCount - 1) * 1000) / Math.max(1, now - this.#firstTokenAt);
  }

  /** Milliseconds of reasoning so far, or in all; null where there is none. */
  thinkingMs(now: number): number | null {
    if (!this.#text.trimStart().startsWith('<think>')) return null;
    return (this.#thinkingEndedAt ?? now) - (this.#firstTokenAt ?? this.#startedAt);
  }

  append(text: string, now: number): void {
    this.#text += text;
    this.#tokenCount++;
    this.#firstTokenAt ??= now;
    // Only the end can hold a tag that has just been completed; the text itself may be long.
    if (this.#thinkingEndedAt === null && this.#text.slice(-text.length - 10).includes('</think>')) {
      this.#thinkingEndedAt = now;
    }
    this.#notify();
  }

  #notify(): void {
    if (this.#frame !== 0 || this.#listeners.size === 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      for (const listener of this.#listeners) listener();
    });
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
