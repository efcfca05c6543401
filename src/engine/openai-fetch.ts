import { AutoglmError, isAbortError } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import type { ChatCompletionRequest, CompletionRequest } from './openai.ts';
import { toOpenAIError } from './openai-errors.ts';

/** Chunks that may come before the first that needs the model: a fault of the request then still has a status. */
const OPENING_CHUNKS = 2;

/**
 * A `fetch` that answers OpenAI's HTTP API from an engine, so that clients of it work in a page without a server:
 *
 *     const client = new OpenAI({ fetch: createOpenAIFetch(engine), apiKey: '', dangerouslyAllowBrowser: true });
 *
 * It knows `POST …/chat/completions`, `POST …/completions`, `GET …/models` and `GET …/models/<id>`, whatever the
 * address before them; other paths get 404. Nothing leaves the page.
 */
export function createOpenAIFetch(engine: Engine): typeof fetch {
  return async (input, init) => {
    const request = new Request(toAbsolute(input), init);
    try {
      return await answer(engine, request);
    } catch (error) {
      // As `fetch` itself does.
      if (isAbortError(error)) throw error;
      const { status, body } = toOpenAIError(error);
      return Response.json(body, { status });
    }
  };
}

/** Where there is no page, a relative address has no base. */
function toAbsolute(input: RequestInfo | URL): RequestInfo | URL {
  return typeof input === 'string' ? new URL(input, 'http://engine.invalid') : input;
}

async function answer(engine: Engine, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const route = /\/(chat\/completions|completions|models(?:\/[^/]+)?)\/?$/.exec(pathname)?.[1];
  if (request.method === 'GET' && route?.startsWith('models')) return listModels(engine, route);
  if (request.method !== 'POST' || route === undefined || route.startsWith('models')) {
    throw new AutoglmError('model-unknown', `There is no ${request.method} ${pathname}.`, {
      value: pathname,
      limit: '/v1/chat/completions, /v1/completions, /v1/models',
      param: 'path',
      cure: 'Use one of the paths that the engine answers.',
    });
  }
  const body = await readJson(request);
  const { signal } = request;
  if (route === 'completions') {
    const completion = body as unknown as CompletionRequest;
    return completion.stream
      ? stream(await engine.completions.create({ ...completion, stream: true }, { signal }))
      : Response.json(await engine.completions.create({ ...completion, stream: false }, { signal }));
  }
  const chat = body as unknown as ChatCompletionRequest;
  return chat.stream
    ? stream(await engine.chat.completions.create({ ...chat, stream: true }, { signal }))
    : Response.json(await engine.chat.completions.create({ ...chat, stream: false }, { signal }));
}

function listModels({ info }: Engine, route: string): Response {
  const model = { id: info.model, object: 'model', created: 0, owned_by: 'autoglm-web' };
  const id = decodeURIComponent(route.slice('models/'.length));
  if (id === '') return Response.json({ object: 'list', data: [model] });
  if (id === info.model) return Response.json(model);
  throw new AutoglmError('model-unknown', `The model "${id}" is not loaded.`, {
    value: id,
    limit: info.model,
    param: 'model',
    cure: `Ask for "${info.model}".`,
  });
}

async function readJson(request: Request): Promise<object> {
  try {
    return (await request.json()) as object;
  } catch (cause) {
    request.signal.throwIfAborted();
    throw new AutoglmError('request-invalid', 'The body of the request is not JSON.', {
      limit: 'a JSON object',
      param: 'body',
      fieldFault: 'type',
      cure: 'Send JSON.',
      cause,
    });
  }
}

/** Server-sent events, up to `[DONE]`; a fault on the way is the last event. */
async function stream(chunks: AsyncIterable<unknown>): Promise<Response> {
  const iterator = chunks[Symbol.asyncIterator]();
  const opening: unknown[] = [];
  let isDone = false;
  while (opening.length < OPENING_CHUNKS && !isDone) {
    const next = await iterator.next();
    if (next.done) isDone = true;
    else opening.push(next.value);
  }
  const encoder = new TextEncoder();
  const toEvent = (data: unknown): Uint8Array<ArrayBuffer> =>
    encoder.encode(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: async (controller) => {
      try {
        const next = opening.length > 0 ? { done: false, value: opening.shift() } : await iterator.next();
        if (!next.done) return controller.enqueue(toEvent(next.value));
        controller.enqueue(toEvent('[DONE]'));
        controller.close();
      } catch (error) {
        if (isAbortError(error)) return controller.error(error);
        controller.enqueue(toEvent(toOpenAIError(error).body));
        controller.close();
      }
    },
    // The reader went away: the engine stops.
    cancel: async () => void (await iterator.return?.()),
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
}
