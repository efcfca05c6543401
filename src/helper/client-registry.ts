import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AutoglmError } from '../base/errors.ts';
import { writePrivateFile } from './private-file.ts';

/** Somebody who may use the helper: a web origin, or a program of the user's. */
export interface LinkedClient {
  readonly kind: 'origin' | 'program';
  /** The exact origin, or the program's name. */
  readonly name: string;
  /** sha256 of the token in hex; the token itself is kept nowhere. */
  readonly tokenHash: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** A token, shown once, and whose it is. */
export interface IssuedToken {
  readonly token: string;
  readonly client: LinkedClient;
}

/** An origin is asked again after this time; programs' keys last longer, as nobody is there to ask. */
export const ORIGIN_LIFETIME_MS = 90 * 24 * 3600 * 1000;
export const PROGRAM_LIFETIME_MS = 365 * 24 * 3600 * 1000;

const FILE = 'clients.json';

/**
 * The linked origins and programs, in one file of the user's. Every question looks at the file again where it has
 * changed, so that `autoglm unpair` in another process counts at once.
 */
export class ClientRegistry {
  readonly #path: string;
  readonly #now: () => number;
  #clients: readonly LinkedClient[] = [];
  #stamp = '';

  constructor(folder: string, now: () => number = Date.now) {
    this.#path = join(folder, FILE);
    this.#now = now;
  }

  /** Linked clients whose time has not run out. */
  list(): readonly LinkedClient[] {
    this.#refresh();
    return this.#clients.filter(({ expiresAt }) => expiresAt > this.#now());
  }

  /** True when this exact origin was approved. */
  hasOrigin(origin: string): boolean {
    return this.list().some(({ kind, name }) => kind === 'origin' && name === origin);
  }

  /** Whose token this is. */
  find(token: string): LinkedClient | undefined {
    // Tokens are 256 random bits: comparing their hashes gives nothing away, however long it takes.
    const tokenHash = hashToken(token);
    return this.list().find((client) => client.tokenHash === tokenHash);
  }

  /** Links a client; earlier links of the same name stay, as they are those of its other browsers. */
  issue(kind: LinkedClient['kind'], name: string): IssuedToken {
    const token = createToken();
    const createdAt = this.#now();
    const lifetimeMs = kind === 'origin' ? ORIGIN_LIFETIME_MS : PROGRAM_LIFETIME_MS;
    const client = {
      kind,
      name,
      tokenHash: hashToken(token),
      createdAt,
      expiresAt: createdAt + lifetimeMs,
    };
    this.#write([...this.list(), client]);
    return { token, client };
  }

  /** Ends all links of a name. @returns how many there were. */
  revoke(name: string): number {
    const clients = this.list();
    const kept = clients.filter((client) => client.name !== name);
    if (kept.length < clients.length) this.#write(kept);
    return clients.length - kept.length;
  }

  #write(clients: readonly LinkedClient[]): void {
    writePrivateFile(this.#path, `${JSON.stringify({ version: 1, clients }, undefined, 2)}\n`);
    this.#stamp = '';
    this.#refresh();
  }

  #refresh(): void {
    const stamp = stampOf(this.#path);
    if (stamp === this.#stamp) return;
    this.#clients = stamp === '' ? [] : parse(readFileSync(this.#path, 'utf8'), this.#path);
    this.#stamp = stamp;
  }
}

/** 256 random bits, recognisable in logs and by secret scanners. */
export function createToken(): string {
  return `autoglm-${randomBytes(32).toString('base64url')}`;
}

/** What is kept of a token. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Changes whenever the file is replaced; empty while there is none. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
}

function parse(text: string, path: string): readonly LinkedClient[] {
  try {
    const { clients } = JSON.parse(text) as { clients: readonly LinkedClient[] };
    if (Array.isArray(clients) && clients.every(isClient)) return clients;
  } catch (cause) {
    throw broken(path, cause);
  }
  throw broken(path);
}

function isClient(value: unknown): value is LinkedClient {
  const client = (value ?? {}) as Partial<LinkedClient>;
  return (
    (client.kind === 'origin' || client.kind === 'program') &&
    typeof client.name === 'string' &&
    /^[0-9a-f]{64}$/.test(client.tokenHash ?? '') &&
    typeof client.createdAt === 'number' &&
    typeof client.expiresAt === 'number'
  );
}

function broken(path: string, cause?: unknown): AutoglmError {
  return new AutoglmError('storage-unavailable', `The list of linked clients ${path} cannot be read.`, {
    value: path,
    cure: 'Delete it, and link again what should use the helper.',
    cause,
  });
}
