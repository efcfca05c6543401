import type { FastifyInstance } from 'fastify';
import type { ChatCompletionRequest } from '../engine/openai.ts';
import { NO_PREFILL, type PrefillRequest, type PrefillSummary } from '../engine/prefill.ts';
import { checkChat } from './answer-routes.ts';
import type { ModelHost } from './model-host.ts';

/**
 * `POST /v1/autoglm/prefill`: computes what is certain of a coming request while no answer is being given. It takes no
 * place in the queue; a client has one at a time, and its next one ends it.
 */
export function addPrefillRoute(
  app: FastifyInstance,
  { host, stopping }: { readonly host: ModelHost; readonly stopping: AbortSignal },
): void {
  const running = new Map<string, AbortController>();
  app.post('/v1/autoglm/prefill', async ({ body, caller }, reply): Promise<PrefillSummary> => {
    checkChat(body, host);
    const { model: _, ...request } = body as PrefillRequest & Pick<ChatCompletionRequest, 'model'>;
    const client = caller.client ?? '';
    running.get(client)?.abort();
    const own = new AbortController();
    running.set(client, own);
    reply.raw.once('close', () => own.abort());
    try {
      const signal = AbortSignal.any([own.signal, stopping]);
      return (await host.requireEngine().prefill?.(request, { signal })) ?? NO_PREFILL;
    } catch (error) {
      if (!own.signal.aborted) throw error;
      return NO_PREFILL;
    } finally {
      if (running.get(client) === own) running.delete(client);
    }
  });
}
