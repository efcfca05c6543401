import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hashToken, type ClientRegistry } from './client-registry.ts';
import type { PairingCode } from './pairing-code.ts';
import { Refusal } from './refusal.ts';

/** Who asks, once the checks below are passed. */
export interface Caller {
  /** The exact origin of a page; undefined for a program. */
  readonly origin: string | undefined;
  /** Name of the linked client whose token was given; undefined where none was needed. */
  readonly client: string | undefined;
}

/** What a route demands. */
export type RouteAccess =
  /** A token, of the caller's own origin where it has one. */
  | 'token'
  /** Nothing but the right host and no foreign origin. */
  | 'open'
  /** The helper's own page. */
  | 'own-page'
  /** An origin that is not linked yet, in exchange for the code. */
  | 'code';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Default `token`. */
    readonly access?: RouteAccess;
  }
  interface FastifyRequest {
    caller: Caller;
  }
}

/** What the checks are made with. */
export interface AccessOptions {
  readonly registry: ClientRegistry;
  readonly pairing: PairingCode;
  /** `Host` headers that are the helper's own, such as `127.0.0.1:11435`; asked anew for every request. */
  readonly hosts: () => readonly string[];
  /** A key of this run alone, which is kept nowhere. */
  readonly sessionKey: string;
}

const METHODS = 'GET, HEAD, POST, PUT';
const HEADERS = 'authorization, content-type';
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  POST: 'application/json',
  PUT: 'application/octet-stream',
};
const PREFLIGHT_SECONDS = '600';

/**
 * Guards every route, before any byte of a body is read: the host (DNS rebinding), the origin, preflights, the
 * token. Whoever passes is `request.caller`.
 */
export function guardAccess(app: FastifyInstance, options: AccessOptions): void {
  app.decorateRequest('caller', null as unknown as Caller);
  app.addHook('onRequest', async (request, reply) => {
    requireOwnHost(request, options.hosts());
    const access = request.routeOptions.config.access ?? 'token';
    const { origin } = request.headers;
    if (request.method === 'OPTIONS') return answerPreflight(request, reply, options);
    if (access === 'own-page') {
      requireOwnPage(request);
      requireContentType(request);
      request.caller = { origin: undefined, client: undefined };
      return;
    }
    if (access === 'code') {
      requireCode(request, options.pairing);
      allowOrigin(reply, origin as string);
      requireContentType(request);
      request.caller = { origin, client: undefined };
      return;
    }
    const isOwn = origin === undefined || origin === ownOrigin(request);
    if (!isOwn) {
      requireLinkedOrigin(origin, options.registry);
      allowOrigin(reply, origin);
    } else if (request.headers['sec-fetch-site'] === 'cross-site' && access === 'token') {
      // No page gets here with a token: browsers send it only in requests that carry an origin.
      throw new Refusal(403, 'cross-site', 'A page of another site cannot use the helper.');
    }
    requireContentType(request);
    const caller = { origin: isOwn ? undefined : origin };
    request.caller =
      access === 'open'
        ? { ...caller, client: undefined }
        : { ...caller, client: requireToken(request, caller.origin, options) };
  });
}

/** True when an open route was asked with a valid token all the same, so that it may tell more. */
export function hasToken(request: FastifyRequest, options: AccessOptions): boolean {
  try {
    requireToken(request, request.caller.origin, options);
    return true;
  } catch {
    return false;
  }
}

/** An origin as browsers write it: scheme, host, and port where it is not the scheme's own. */
export function isWebOrigin(text: unknown): text is string {
  if (typeof text !== 'string' || !URL.canParse(text)) return false;
  const { protocol, origin } = new URL(text);
  return /^https?:$/.test(protocol) && origin === text;
}

function requireOwnHost(request: FastifyRequest, hosts: readonly string[]): void {
  const { host = '' } = request.headers;
  if (hosts.includes(host.toLowerCase())) return;
  throw new Refusal(403, 'wrong-host', `"${shorten(host)}" is not a name of this helper.`);
}

function requireLinkedOrigin(origin: string, registry: ClientRegistry): void {
  if (origin === 'null') {
    throw new Refusal(403, 'null-origin', 'A page without an origin of its own cannot use the helper.');
  }
  if (registry.hasOrigin(origin)) return;
  throw new Refusal(403, 'foreign-origin', `The page ${shorten(origin)} is not linked with this helper.`);
}

/** @returns the client's name. */
function requireToken(
  request: FastifyRequest,
  origin: string | undefined,
  { registry, sessionKey }: AccessOptions,
): string {
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  const challenge = { 'www-authenticate': 'Bearer realm="autoglm"' };
  if (token === undefined) throw new Refusal(401, 'no-token', 'This needs a token.', challenge);
  if (hashToken(token) === hashToken(sessionKey)) {
    if (origin === undefined) return 'this run';
    throw new Refusal(403, 'other-origins-token', 'This key is for programs, not for pages.');
  }
  const client = registry.find(token);
  if (!client) {
    throw new Refusal(
      401,
      'unknown-token',
      'This token is unknown, or was revoked, or has expired.',
      challenge,
    );
  }
  const owner = client.kind === 'origin' ? client.name : undefined;
  if (owner === origin) return client.name;
  throw new Refusal(403, 'other-origins-token', 'This token belongs to another page or program.');
}

/** Types that no form and no request without a preflight can send. */
function requireContentType(request: FastifyRequest): void {
  const expected = CONTENT_TYPES[request.method];
  if (expected === undefined) return;
  const given = request.headers['content-type'] ?? '';
  if (given.split(';')[0]?.trim().toLowerCase() === expected) return;
  throw new Refusal(415, 'wrong-content-type', `Send ${expected}, not "${shorten(given)}".`);
}

/** The page that this helper itself served: same origin, and nothing of another site behind it. */
function requireOwnPage(request: FastifyRequest): void {
  const { origin } = request.headers;
  if (origin === ownOrigin(request)) return;
  if (origin === 'null') throw new Refusal(403, 'null-origin', "Only the helper's own page may ask this.");
  throw new Refusal(403, 'foreign-origin', "Only the helper's own page may ask this.");
}

/** The code stands in the URL, so that a preflight can be judged by it and no unknown origin is ever let in. */
function requireCode(request: FastifyRequest, pairing: PairingCode): void {
  const { origin } = request.headers;
  if (origin === 'null') throw new Refusal(403, 'null-origin', 'A page without an origin cannot be linked.');
  if (!isWebOrigin(origin)) throw new Refusal(403, 'foreign-origin', 'Only a web page can be linked.');
  const { code } = request.query as { readonly code?: unknown };
  pairing.check(typeof code === 'string' ? code : '');
}

function answerPreflight(request: FastifyRequest, reply: FastifyReply, options: AccessOptions): FastifyReply {
  const { origin } = request.headers;
  if (origin === undefined) throw new Refusal(403, 'foreign-origin', 'A preflight names its origin.');
  if (new URL(request.url, 'http://helper').pathname === '/pair/claim') requireCode(request, options.pairing);
  else requireLinkedOrigin(origin, options.registry);
  allowOrigin(reply, origin);
  reply.header('access-control-allow-methods', METHODS).header('access-control-allow-headers', HEADERS);
  // A code is good once: nothing that was allowed by it may be remembered.
  const isCode = request.url.startsWith('/pair/');
  reply.header('access-control-max-age', isCode ? '0' : PREFLIGHT_SECONDS);
  // Chrome's earlier rule for requests to a local machine; today it asks the user instead.
  if (request.headers['access-control-request-private-network'] === 'true') {
    reply.header('access-control-allow-private-network', 'true');
  }
  return reply.code(204).send();
}

function allowOrigin(reply: FastifyReply, origin: string): void {
  reply
    .header('access-control-allow-origin', origin)
    .header('access-control-expose-headers', 'retry-after')
    .header('vary', 'Origin');
}

/** Only called behind `requireOwnHost`. */
function ownOrigin(request: FastifyRequest): string {
  return `http://${request.headers.host}`;
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
