import type { FastifyInstance } from 'fastify';
import type { Readable } from 'node:stream';
import type { HelperModelFacts, ListedModel, ModelList, ModelOffer } from '../protocol/helper-http.ts';
import type { FairQueue } from './fair-queue.ts';
import type { ModelHost } from './model-host.ts';
import type { OfferedModels } from './offered-models.ts';
import { Refusal, retryAfter } from './refusal.ts';

/** What listing and taking models needs. */
export interface ModelRoutesOptions {
  readonly host: ModelHost;
  readonly queue: FairQueue;
  readonly offered: OfferedModels;
  /** The command line named the model: no page may change it. */
  readonly isFixed: boolean;
}

/** A model's texts: the largest is the tokenizer, 20 MB for GLM-4. */
const OFFER_BYTES = 64 * 1024 * 1024;
/** A shard: MLC gives a large tensor one of its own. */
const SHARD_BYTES = 2 * 1024 * 1024 * 1024;

/** OpenAI's `/v1/models`, and the way of a page's own weights into the helper. */
export function addModelRoutes(app: FastifyInstance, options: ModelRoutesOptions): void {
  const { host, offered, queue, isFixed } = options;
  const startedAt = Math.floor(Date.now() / 1000);
  const list = (): ListedModel[] => (host.facts ? [toListed(host.facts, startedAt)] : []);

  app.get('/v1/models', async (): Promise<ModelList> => ({ object: 'list', data: list() }));

  app.get<{ Params: { id: string } }>('/v1/models/:id', async (request) => {
    // A name is compared with what is loaded; it never becomes a path.
    const model = list().find(({ id }) => id === request.params.id);
    if (model) return model;
    throw new Refusal(404, 'unknown-model', 'There is no such model here.');
  });

  app.post<{ Body: ModelOffer }>('/v1/autoglm/models', { bodyLimit: OFFER_BYTES }, async (request) =>
    offered.offer(request.body),
  );

  app.addContentTypeParser('application/octet-stream', (_, payload, done) => done(null, payload));
  app.put<{ Params: { id: string; shard: string }; Body: Readable }>(
    '/v1/autoglm/models/:id/:shard',
    { bodyLimit: SHARD_BYTES },
    async (request, reply) => {
      await offered.put(request.params.id, request.params.shard, request.body);
      return reply.code(204).send();
    },
  );

  app.post<{ Params: { id: string } }>('/v1/autoglm/models/:id/load', async (request, reply) => {
    const { id } = request.params;
    if (host.facts?.fingerprint === id) return reply.send({ status: host.status, model: host.facts });
    if (isFixed) {
      throw new Refusal(409, 'unknown-model', 'This helper was started for another model (--model).');
    }
    if (queue.running + queue.waiting > 0) {
      throw new Refusal(409, 'queue-full', 'The helper answers with another model now.', retryAfter(5000));
    }
    await host.load(await offered.folderOf(id));
    return reply.send({ status: host.status, model: host.facts });
  });
}

function toListed(facts: HelperModelFacts, created: number): ListedModel {
  return {
    id: facts.id,
    object: 'model',
    created,
    owned_by: 'autoglm',
    max_model_len: facts.contextWindow,
    autoglm: facts,
  };
}
