import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AutoglmError, isAbortError } from '../base/errors.ts';
import { checkInlineImages } from '../engine/inline-images.ts';
import type { ChatCompletionChunk, ChatCompletionRequest, Usage } from '../engine/openai.ts';
import { toOpenAIError } from '../engine/openai-errors.ts';
import type { FairQueue } from './fair-queue.ts';
import type { HelperMetrics } from './metrics.ts';
import type { ModelHost } from './model-host.ts';
import { Refusal } from './refusal.ts';
import { EventStream } from './event-stream.ts';

/** What answering needs. */
export interface ChatRouteOptions {
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

/** OpenAI's `POST /v1/chat/completions`. */
export function addChatRoute(app: FastifyInstance, options: ChatRouteOptions): void {
  app.post('/v1/chat/completions', async (request, reply) => {
    const startedAt = performance.now();
    const body = checkBody(request.body, options.host);
    const client = new AbortController();
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) client.abort();
    });
    const signal = AbortSignal.any([client.signal, options.stopping]);
    const { metrics, queue } = options;
    try {
      const leave = await queue.enter(request.caller.client ?? '', signal);
      try {
        metrics.queueTime.observe(secondsSince(startedAt));
        return await answer(body, { request, reply, signal, startedAt, ...options });
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
  });
}

interface AnswerContext extends ChatRouteOptions {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly signal: AbortSignal;
  readonly startedAt: number;
}

async function answer(body: ChatCompletionRequest, context: AnswerContext): Promise<FastifyReply> {
  const { reply, signal, metrics, startedAt, host } = context;
  const { completions } = host.requireEngine().chat;
  if (body.stream) {
    const chunks = await completions.create({ ...body, stream: true }, { signal });
    return streamAnswer(chunks, context);
  }
  const completion = await completions.create({ ...body, stream: false }, { signal });
  metrics.timeToFirstToken.observe(
    (completion.usage.extra?.timeToFirstTokenMs ?? performance.now() - startedAt) / 1000,
  );
  countTokens(completion.usage, metrics);
  return reply.send(completion);
}

async function streamAnswer(
  chunks: AsyncIterable<ChatCompletionChunk>,
  { request, reply, signal, metrics, startedAt, stallTimeoutMs }: AnswerContext,
): Promise<FastifyReply> {
  const reader = chunks[Symbol.asyncIterator]();
  const first = await reader.next();
  const second = reader.next();
  // A fault of the request itself comes before any text, and leaves the status free to say so.
  await Promise.race([second, delay(SETTLE_MS)]);
  reply.hijack();
  const events = new EventStream(reply.raw, { signal, stallTimeoutMs, headers: reply.getHeaders() });
  let hasText = false;
  let written = 0;
  let usage: Usage | undefined;
  try {
    for (let next = first; !next.done; next = written === 1 ? await second : await reader.next()) {
      const chunk = next.value;
      const text = chunk.choices[0]?.delta.content ?? '';
      if (text !== '' && !hasText) {
        hasText = true;
        metrics.timeToFirstToken.observe(secondsSince(startedAt));
      }
      usage = chunk.usage ?? usage;
      await events.send(chunk);
      written++;
    }
    await events.send('[DONE]');
  } catch (error) {
    // The status has gone out: the fault becomes the stream's last event.
    if (!reply.raw.destroyed)
      await events.send(toOpenAIError(stopReason(error, signal)).body).catch(() => {});
    if (!isAbortError(error) || !reply.raw.destroyed) {
      request.log.warn({ client: request.caller.client, fault: String(error) }, 'the answer broke off');
    }
    if (reply.raw.destroyed) metrics.aborted.inc();
  } finally {
    events.end();
    await reader.return?.();
    if (usage) countTokens(usage, metrics);
  }
  return reply;
}

/** An abort has the reason why it was aborted. */
function stopReason(error: unknown, signal: AbortSignal): unknown {
  return signal.aborted && signal.reason instanceof AutoglmError ? signal.reason : error;
}

/** What the engine does not check itself: whom the request is for, and that its images are safe to look at. */
function checkBody(body: unknown, host: ModelHost): ChatCompletionRequest {
  const request = (body ?? {}) as ChatCompletionRequest;
  const { messages, model } = request;
  if (!Array.isArray(messages)) {
    throw new Refusal(400, 'request-invalid', '"messages" must be a list.');
  }
  const { info } = host.requireEngine();
  if (model !== undefined && model !== info.model) {
    throw new Refusal(
      404,
      'unknown-model',
      `The model "${String(model).slice(0, 60)}" is not loaded here; "${info.model}" is.`,
    );
  }
  checkInlineImages(messages);
  return request;
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
