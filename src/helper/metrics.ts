import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What the gauges read when they are asked. */
export interface MetricsSource {
  readonly running: () => number;
  readonly waiting: () => number;
  readonly gpuBytes: () => number;
  /** Tokens in the KV cache, and how many it holds. */
  readonly cacheTokens: () => number;
  readonly cacheCapacity: () => number;
}

/** Seconds from a tenth of the fastest answer to the slowest that anybody waits for. */
const SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120];

/** Everything that `GET /metrics` tells. */
export class HelperMetrics {
  readonly #registry = new Registry();
  readonly requests = new Counter({
    name: 'autoglm_requests_total',
    help: 'Requests by route and status.',
    labelNames: ['route', 'status'] as const,
    registers: [this.#registry],
  });
  readonly refusals = new Counter({
    name: 'autoglm_refusals_total',
    help: 'Requests that were refused, by reason.',
    labelNames: ['reason'] as const,
    registers: [this.#registry],
  });
  readonly tokens = new Counter({
    name: 'autoglm_tokens_total',
    help: 'Tokens read (prompt) and written (completion).',
    labelNames: ['kind'] as const,
    registers: [this.#registry],
  });
  readonly aborted = new Counter({
    name: 'autoglm_aborted_answers_total',
    help: 'Answers whose client went away.',
    registers: [this.#registry],
  });
  readonly timeToFirstToken = new Histogram({
    name: 'autoglm_time_to_first_token_seconds',
    help: 'From the request to the first text, waiting included.',
    buckets: SECONDS,
    registers: [this.#registry],
  });
  readonly queueTime = new Histogram({
    name: 'autoglm_queue_seconds',
    help: 'Waiting for a turn.',
    buckets: SECONDS,
    registers: [this.#registry],
  });
  readonly answerTime = new Histogram({
    name: 'autoglm_answer_seconds',
    help: 'From the request to the end of the answer.',
    buckets: SECONDS,
    registers: [this.#registry],
  });

  constructor(source: MetricsSource) {
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge('autoglm_running_requests', 'Answers being written.', source.running);
    this.#gauge('autoglm_waiting_requests', 'Requests in the queue.', source.waiting);
    this.#gauge('autoglm_gpu_bytes', 'Bytes that the model holds on the GPU.', source.gpuBytes);
    this.#gauge('autoglm_kv_cache_tokens', 'Tokens in the KV cache.', source.cacheTokens);
    this.#gauge('autoglm_kv_cache_capacity_tokens', 'Tokens that the KV cache holds.', source.cacheCapacity);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({ name, help, registers: [], collect: () => gauge.set(read()) });
    this.#registry.registerMetric(gauge);
  }
}
