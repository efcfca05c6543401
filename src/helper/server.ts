import Fastify, {
  LogController,
  type FastifyError,
  type FastifyInstance,
  type FastifyRequest,
} from 'fastify';
import { isAutoglmError, AutoglmError } from '../base/errors.ts';
import { toOpenAIError } from '../engine/openai-errors.ts';
import type { HelperHealth } from '../protocol/helper-http.ts';
import { guardAccess, hasToken, type AccessOptions } from './access.ts';
import { addAnswerRoutes } from './answer-routes.ts';
import type { ClientRegistry } from './client-registry.ts';
import { FairQueue, type FairQueueLimits } from './fair-queue.ts';
import { HelperMetrics } from './metrics.ts';
import type { ModelHost } from './model-host.ts';
import { addModelRoutes } from './model-routes.ts';
import type { OfferedModels } from './offered-models.ts';
import { addPrefillRoute } from './prefill-route.ts';
import { addPairRoutes } from './pair-routes.ts';
import type { PairingCode } from './pairing-code.ts';
import { Refusal, retryAfter, type RefusalReason } from './refusal.ts';

/** What one server is made of. */
export interface HelperServerOptions {
  readonly host: ModelHost;
  readonly registry: ClientRegistry;
  readonly pairing: PairingCode;
  readonly offered: OfferedModels;
  readonly sessionKey: string;
  /** Names of this machine, beside the loopback ones, that clients may ask for. */
  readonly hostNames?: readonly string[];
  readonly isModelFixed?: boolean;
  readonly limits?: Partial<HelperLimits>;
  readonly onLinked?: (origin: string) => void;
  /** Where the log goes, one JSON object a line; default: nowhere. */
  readonly log?: { write(line: string): void } | undefined;
}

/** How much anybody may ask for. */
export interface HelperLimits extends FairQueueLimits {
  readonly bodyBytes: number;
  /** Longest time that a request's headers may take to come, in milliseconds: against slowloris. */
  readonly headersTimeoutMs: number;
  /** Longest time for a whole request. */
  readonly requestTimeoutMs: number;
  /** How often both are looked at. */
  readonly checkIntervalMs: number;
  readonly stallTimeoutMs: number;
  readonly connections: number;
}

export const DEFAULT_LIMITS: HelperLimits = {
  running: 8,
  waiting: 64,
  perClient: 16,
  bodyBytes: 32 * 1024 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 120_000,
  checkIntervalMs: 5000,
  stallTimeoutMs: 30_000,
  connections: 512,
};

/** A server that can be started and ended. */
export interface HelperServer {
  /** Starts to listen. @returns the port. */
  listen(port: number, address?: string): Promise<number>;
  /** Takes no more requests, lets answers run on for so long, ends the rest, and closes. Idempotent. */
  close(graceMs?: number): Promise<void>;
}

/** What was written last gets so long to reach its reader. */
const LAST_BYTES_MS = 200;

const LOOPBACK_NAMES = ['127.0.0.1', 'localhost', '[::1]'];

/** The helper's HTTP server around a model host. */
export function createHelperServer(options: HelperServerOptions): HelperServer {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { host } = options;
  const queue = new FairQueue(limits);
  const stopping = new AbortController();
  const metrics = new HelperMetrics({
    running: () => queue.running,
    waiting: () => queue.waiting,
    gpuBytes: () => host.stats.gpuBytes,
    cacheTokens: () => host.stats.cacheTokens,
    cacheCapacity: () => host.stats.cacheCapacity,
  });
  const app = createApp(limits, options.log);
  let port = 0;
  let isStopping = false;
  const names = [...LOOPBACK_NAMES, ...(options.hostNames ?? [])];
  const access: AccessOptions = {
    ...options,
    hosts: () => names.map((name) => `${name}:${port}`.toLowerCase()),
  };
  answerFaults(app, metrics);
  guardAccess(app, access);
  app.addHook('onRequest', async (request) => {
    if (isStopping && request.url !== '/health') throw stoppingRefusal();
  });
  app.addHook('onResponse', async (request, reply) => {
    metrics.requests.inc({ route: request.routeOptions.url ?? 'none', status: reply.statusCode });
  });
  app.get('/health', { config: { access: 'open' } }, async (request): Promise<HelperHealth> => {
    const status = isStopping ? 'stopping' : host.status;
    if (!hasToken(request, access)) return { status };
    const { running, waiting } = queue;
    return { status, model: host.facts, running, waiting, fault: host.fault };
  });
  app.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.render()));
  addPairRoutes(app, { ...options, onLinked: options.onLinked ?? (() => {}) });
  addModelRoutes(app, { host, queue, offered: options.offered, isFixed: options.isModelFixed === true });
  const { stallTimeoutMs } = limits;
  addAnswerRoutes(app, { host, queue, metrics, stopping: stopping.signal, stallTimeoutMs });
  addPrefillRoute(app, { host, stopping: stopping.signal });

  let closed: Promise<void> | undefined;
  return {
    listen: async (asked, address = '127.0.0.1') => {
      await app.listen({ port: asked, host: address });
      port = (app.server.address() as { port: number }).port;
      return port;
    },
    close: (graceMs = 0) => {
      closed ??= (async () => {
        isStopping = true;
        queue.close(stoppingRefusal());
        const deadline = performance.now() + graceMs;
        while (queue.running > 0 && performance.now() < deadline) await delay(20);
        stopping.abort(
          new AutoglmError('helper-unreachable', 'The helper was stopped in the middle of the answer.', {
            cure: 'Ask again when it runs.',
          }),
        );
        while (queue.running > 0) await delay(20);
        const appClosed = app.close();
        // Connections on which nothing was ever asked count as neither idle nor busy, and would stay for ever.
        const rest = setTimeout(() => app.server.closeAllConnections(), LAST_BYTES_MS);
        await appClosed;
        clearTimeout(rest);
      })();
      return closed;
    },
  };
}

function createApp(limits: HelperLimits, log: HelperServerOptions['log']): FastifyInstance {
  const app = Fastify({
    logger: log === undefined ? false : { level: 'info', stream: log, base: null },
    // Only what matters is logged, and no URL: it may hold a code.
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: 30_000,
    http: {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
    },
  }) as unknown as FastifyInstance;
  app.server.maxConnections = limits.connections;
  app.removeContentTypeParser('text/plain');
  return app;
}

/** Every way not to be served, as OpenAI's error body and as one line of the log. */
function answerFaults(app: FastifyInstance, metrics: HelperMetrics): void {
  app.setErrorHandler(async (thrown: Error, request, reply) => {
    const refusal = toRefusal(thrown);
    if (refusal) {
      const { status, reason, message } = refusal;
      noteRefusal(request, { status, reason, message }, metrics);
      // What is left of a body that is too large is not read.
      if (status === 413) reply.header('connection', 'close');
      return reply.headers(refusal.headers).code(status).send(refusal.toBody());
    }
    const { status, body } = toOpenAIError(thrown);
    const reason = isAutoglmError(thrown) ? thrown.code : 'internal';
    if (status < 500) noteRefusal(request, { status, reason, message: body.error.message }, metrics);
    else request.log.error({ status, reason, stack: thrown.stack }, body.error.message);
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler(async () => {
    throw new Refusal(404, 'not-found', 'There is nothing here.');
  });
}

/** What came of a fault that the caller made; undefined for the engine's and the helper's own. */
function toRefusal(thrown: Error): Refusal | undefined {
  if (thrown instanceof Refusal) return thrown;
  const { statusCode, message } = thrown as FastifyError;
  const reasons: Readonly<Record<number, RefusalReason>> = {
    400: 'request-invalid',
    413: 'body-too-large',
    415: 'wrong-content-type',
  };
  const reason = statusCode === undefined ? undefined : reasons[statusCode];
  return reason && new Refusal(statusCode as number, reason, message);
}

function noteRefusal(
  { log, headers }: FastifyRequest,
  { reason, status, message }: { readonly reason: string; readonly status: number; readonly message: string },
  metrics: HelperMetrics,
): void {
  metrics.refusals.inc({ reason });
  const cut = (value: string | undefined): string | undefined => value?.slice(0, 80);
  log.warn({ reason, status, origin: cut(headers.origin), host: cut(headers.host) }, message);
}

function stoppingRefusal(): Refusal {
  return new Refusal(503, 'stopping', 'The helper is being stopped.', {
    ...retryAfter(5000),
    connection: 'close',
  });
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
