import type { FastifyInstance, FastifyReply } from 'fastify';
import type { PairGrant } from '../protocol/helper-http.ts';
import { isWebOrigin } from './access.ts';
import type { ClientRegistry } from './client-registry.ts';
import { PAIR_PAGE, PAIR_SCRIPT, PAIR_STYLES } from './pair-page.ts';
import type { PairingCode } from './pairing-code.ts';
import { Refusal } from './refusal.ts';

/** What linking needs. */
export interface PairRoutesOptions {
  readonly registry: ClientRegistry;
  readonly pairing: PairingCode;
  readonly onLinked: (origin: string) => void;
}

/** Nothing inline, nothing from elsewhere, in nobody's frame. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** The page that approves an origin, and the two ways to a token. */
export function addPairRoutes(app: FastifyInstance, options: PairRoutesOptions): void {
  const { registry, pairing, onLinked } = options;
  const grant = (origin: string, code: string): PairGrant => {
    pairing.redeem(code);
    const { token, client } = registry.issue('origin', origin);
    onLinked(origin);
    return { token, origin, expiresAt: client.expiresAt };
  };
  const page = (path: string, type: string, text: string): void => {
    app.get(path, { config: { access: 'open' } }, async (_, reply) =>
      withPolicy(reply).type(type).send(text),
    );
  };
  page('/pair', 'text/html; charset=utf-8', PAIR_PAGE);
  page('/pair.css', 'text/css; charset=utf-8', PAIR_STYLES);
  page('/pair.js', 'text/javascript; charset=utf-8', PAIR_SCRIPT);

  app.post('/pair/approve', { config: { access: 'own-page' } }, async (request, reply) => {
    const { origin, code } = (request.body ?? {}) as { readonly origin?: unknown; readonly code?: unknown };
    if (!isWebOrigin(origin) || typeof code !== 'string') {
      throw new Refusal(400, 'request-invalid', 'An approval names the exact origin of a page and the code.');
    }
    return reply.header('cache-control', 'no-store').send(grant(origin, code));
  });

  app.post('/pair/claim', { config: { access: 'code' } }, async (request, reply) => {
    const { code } = request.query as { readonly code: string };
    return reply.header('cache-control', 'no-store').send(grant(request.caller.origin as string, code));
  });
}

function withPolicy(reply: FastifyReply): FastifyReply {
  return reply
    .header('content-security-policy', POLICY)
    .header('x-frame-options', 'DENY')
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', 'no-referrer')
    .header('cache-control', 'no-store');
}
