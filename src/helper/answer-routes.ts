import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AutoglmError, isAbortError } from '../base/errors.ts';
import { checkInlineImages } from '../engine/inline-images.ts';
import type { CallOptions, Engine } from '../engine/engine.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionRequest,
  Usage,
} from '../engine/openai.ts';
import { toOpenAIError } from '../engine/openai-errors.ts';
import type { FairQueue } from './fair-queue.ts';
import type { HelperMetrics } from './metrics.ts';
import type { ModelHost } from './model-host.ts';
import { Refusal } from './refusal.ts';
import { EventStream } from './event-stream.ts';

/** What answering needs. */
export interface AnswerRoutesOptions {
  readonly host: ModelHost;
  readonly queue: FairQueue;
  readonly metrics: HelperMetrics;
  /** Fires when answers that still run must end. */
  readonly stopping: AbortSignal;
  /** Longest wait, in milliseconds, for a client that does not read what it asked for. */
  readonly stallTimeoutMs: number;
}

/**
 * A stream begins with its first chunk, or after this time: faults of a request show early and get a status of
 * their own; a long prefill must not look like a dead server.
 */
const SETTLE_MS = 1000;

/** A request that the engine takes, beside what is checked here. */
interface Body {
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | undefined } | null | undefined;
}

/** What the two kinds of answers have in common. */
type Answer = ChatCompletion | Completion;
type Chunk = ChatCompletionChunk | Completion;

/** One of OpenAI's routes over the engine. */
interface AnswerRoute {
  readonly path: string;
  /** @throws Refusal for what the engine must not see. */
  check(body: unknown, host: ModelHost): Body;
  open(engine: Engine, body: Body, options: CallOptions): Promise<AsyncIterable<Chunk>>;
  create(engine: Engine, body: Body, options: CallOptions): Promise<Answer>;
}

const CHAT: AnswerRoute = {
  path: '/v1/chat/completions',
  check: checkChat,
  open: ({ chat }, body, options) =>
    chat.completions.create({ ...(body as ChatCompletionRequest), stream: true }, options),
  create: ({ chat }, body, options) =>
    chat.completions.create({ ...(body as ChatCompletionRequest), stream: false }, options),
};

const TEXT: AnswerRoute = {
  path: '/v1/completions',
  check: (body, host) => {
    checkModel((body as Partial<CompletionRequest> | null)?.model, host);
    return (body ?? {}) as Body;
  },
  open: ({ completions }, body, options) =>
    completions.create({ ...(body as CompletionRequest), stream: true }, options),
  create: ({ completions }, body, options) =>
    completions.create({ ...(body as CompletionRequest), stream: false }, options),
};

/** OpenAI's `POST /v1/chat/completions` and `POST /v1/completions`. */
export function addAnswerRoutes(app: FastifyInstance, options: AnswerRoutesOptions): void {
  for (const route of [CHAT, TEXT]) {
    app.post(route.path, (request, reply) => serveAnswer(route, request, reply, options));
  }
}

async function serveAnswer(
  route: AnswerRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  options: AnswerRoutesOptions,
): Promise<FastifyReply> {
  const startedAt = performance.now();
  const { metrics, queue, host, stopping } = options;
  const body = route.check(request.body, host);
  const client = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) client.abort();
  });
  const signal = AbortSignal.any([client.signal, stopping]);
  try {
    const leave = await queue.enter(request.caller.client ?? '', signal);
    try {
      metrics.queueTime.observe(secondsSince(startedAt));
      return await answer(route, body, { request, reply, signal, startedAt, ...options });
    } finally {
      leave();
      metrics.answerTime.observe(secondsSince(startedAt));
    }
  } catch (error) {
    if (!client.signal.aborted) throw error;
    metrics.aborted.inc();
    request.log.info({ client: request.caller.client }, 'the client went away');
    // Nobody reads it; it only ends the request in the log.
    return reply.hijack();
  }
}

interface AnswerContext extends AnswerRoutesOptions {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly signal: AbortSignal;
  readonly startedAt: number;
}

async function answer(route: AnswerRoute, body: Body, context: AnswerContext): Promise<FastifyReply> {
  const { reply, signal, metrics, startedAt, host } = context;
  const engine = host.requireEngine();
  if (body.stream) {
    // The usage is counted for every stream; those who did not ask for it are not sent it.
    const stream_options = { ...body.stream_options, include_usage: true };
    const chunks = await route.open(engine, { ...body, stream_options }, { signal });
    return streamAnswer(chunks, body.stream_options?.include_usage === true, context);
  }
  const completion = await route.create(engine, body, { signal });
  const { usage } = completion;
  metrics.timeToFirstToken.observe(
    usage?.extra ? usage.extra.timeToFirstTokenMs / 1000 : secondsSince(startedAt),
  );
  if (usage) countTokens(usage, metrics);
  return reply.send(completion);
}

async function streamAnswer(
  chunks: AsyncIterable<Chunk>,
  includesUsage: boolean,
  { request, reply, signal, metrics, startedAt, stallTimeoutMs }: AnswerContext,
): Promise<FastifyReply> {
  const reader = chunks[Symbol.asyncIterator]();
  const first = await reader.next();
  const second = reader.next();
  // A fault of the request itself comes before any text, and leaves the status free to say so.
  await Promise.race([second, delay(SETTLE_MS)]);
  reply.hijack();
  const events = new EventStream(reply.raw, { signal, stallTimeoutMs, headers: reply.getHeaders() });
  let isBegun = false;
  let usage: Usage | undefined;
  try {
    for (let next = first; !next.done; next = next === first ? await second : await reader.next()) {
      const chunk = next.value;
      if (!isBegun && hasText(chunk)) {
        isBegun = true;
        metrics.timeToFirstToken.observe(secondsSince(startedAt));
      }
      usage = chunk.usage ?? usage;
      if (includesUsage || !chunk.usage || chunk.choices.length > 0) await events.send(chunk);
    }
    await events.send('[DONE]');
  } catch (error) {
    const isGone = reply.raw.destroyed;
    // The status has gone out: the fault becomes the stream's last event.
    if (!isGone) await events.send(toOpenAIError(stopReason(error, signal)).body).catch(() => {});
    if (isGone) metrics.aborted.inc();
    if (!isGone || !isAbortError(error)) {
      request.log.warn({ client: request.caller.client, fault: String(error) }, 'the answer broke off');
    }
  } finally {
    events.end();
    await reader.return?.();
    if (usage) countTokens(usage, metrics);
  }
  return reply;
}

/** Something was said: text, thoughts or a call. */
function hasText({ choices }: Chunk): boolean {
  return choices.some((choice) =>
    'text' in choice
      ? choice.text !== ''
      : Object.entries(choice.delta).some(([name, value]) => name !== 'role' && Boolean(value)),
  );
}

/** An abort has the reason why it was aborted. */
function stopReason(error: unknown, signal: AbortSignal): unknown {
  return signal.aborted && signal.reason instanceof AutoglmError ? signal.reason : error;
}

/**
 * What the engine does not check itself: whom the request is for, and that its images are safe to look at.
 *
 * @throws Refusal
 */
export function checkChat(body: unknown, host: ModelHost): Body {
  const request = (body ?? {}) as ChatCompletionRequest;
  const { messages, model } = request;
  if (!Array.isArray(messages)) {
    throw new Refusal(400, 'request-invalid', '"messages" must be a list.');
  }
  checkModel(model, host);
  checkInlineImages(messages);
  return request;
}

function checkModel(model: unknown, host: ModelHost): void {
  const { info } = host.requireEngine();
  if (model === undefined || model === null || model === info.model) return;
  throw new Refusal(
    404,
    'unknown-model',
    `The model "${String(model).slice(0, 60)}" is not loaded here; "${info.model}" is.`,
  );
}

function countTokens(
  { prompt_tokens: prompt, completion_tokens: completion }: Usage,
  metrics: HelperMetrics,
): void {
  metrics.tokens.inc({ kind: 'prompt' }, prompt);
  metrics.tokens.inc({ kind: 'completion' }, completion);
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1000;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
