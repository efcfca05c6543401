import type { PairGrant, PairMessage } from '../protocol/helper-http.ts';

/** One key of the page's storage holds the tokens of all helpers, by their address. */
const KEY = 'autoglm-helper-links';

type Links = Readonly<Record<string, PairGrant>>;

/** Tokens of the helpers that this page is linked with. They work for this origin alone. */
export const helperLinks = {
  get(url: string): PairGrant | undefined {
    const grant = read()[normalize(url)];
    return grant !== undefined && grant.expiresAt > Date.now() ? grant : undefined;
  },

  set(url: string, { token, origin, expiresAt }: PairGrant): void {
    write({ ...read(), [normalize(url)]: { token, origin, expiresAt } });
  },

  delete(url: string): void {
    const { [normalize(url)]: _, ...rest } = read();
    write(rest);
  },
};

/** True for what the helper's page of this address posts, for this very request. */
export function isPairMessage(data: unknown, state: string): data is PairMessage {
  const message = (data ?? {}) as Partial<PairMessage>;
  return (
    message.type === 'autoglm-pair' &&
    message.state === state &&
    typeof message.token === 'string' &&
    message.origin === location.origin &&
    typeof message.expiresAt === 'number'
  );
}

function normalize(url: string): string {
  return new URL(url).origin;
}

function read(): Links {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Links;
  } catch {
    // No storage here, or something foreign in it: the page links again.
    return {};
  }
}

function write(links: Links): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(links));
  } catch {
    // Without storage the link lasts as long as nobody asks for it again.
  }
}
