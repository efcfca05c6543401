import { AutoglmError } from '../base/errors.ts';
import { DEFAULT_HELPER_URL, type PairGrant } from '../protocol/helper-http.ts';
import { fromOpenAIError } from './openai-errors.ts';
import { helperLinks, isPairMessage } from './helper-links.ts';
import { explainLocalFailure, localRequestInit, queryLocalPermission } from './local-network.ts';

/** A link that the user is making on the helper's own page. */
export interface PendingLink {
  /** The helper's page: open it as a page of its own, which no browser guards as it guards requests. */
  readonly url: string;
  readonly state: string;
}

/** Where the page keeps what it asked for, in case the helper's page comes back to it by its address. */
const PENDING_KEY = 'autoglm-helper-pending';
const HASH_KEY = 'autoglm-helper';

/** Begins to link: names the helper's page that asks the user. */
export function beginLink(helperUrl = ''): PendingLink {
  const base = helperUrl || DEFAULT_HELPER_URL;
  const state = crypto.randomUUID();
  try {
    sessionStorage.setItem(PENDING_KEY, JSON.stringify({ state, helperUrl: base }));
  } catch {
    // Without storage only the way back by a message is open.
  }
  const url = new URL('/pair', base);
  url.search = new URLSearchParams({
    origin: location.origin,
    state,
    return: location.href.replace(/#.*/, ''),
  }).toString();
  return { url: url.href, state };
}

/** Waits for the helper's page to hand the token over by a message, from its exact origin and for this request. */
export function awaitLink(helperUrl: string, { state }: PendingLink, signal: AbortSignal): Promise<void> {
  const base = helperUrl || DEFAULT_HELPER_URL;
  const { origin } = new URL(base);
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      removeEventListener('message', onMessage);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    const onMessage = ({ origin: sender, data }: MessageEvent): void => {
      if (sender !== origin || !isPairMessage(data, state)) return;
      keep(base, data);
      settle(resolve);
    };
    addEventListener('message', onMessage);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Takes the token with which the helper's page came back to this one by its address. @returns whether it did */
export function takeLinkFromAddress(): boolean {
  const handed = new URLSearchParams(location.hash.slice(1)).get(HASH_KEY);
  if (handed === null) return false;
  // Out of the address and of the history, before anything else can read or send it.
  history.replaceState(history.state, '', location.href.replace(/#.*/, ''));
  try {
    const { state, helperUrl } = JSON.parse(sessionStorage.getItem(PENDING_KEY) ?? '{}') as {
      readonly state?: string;
      readonly helperUrl?: string;
    };
    const message: unknown = JSON.parse(handed);
    if (state === undefined || helperUrl === undefined || !isPairMessage(message, state)) return false;
    keep(helperUrl, message);
    return true;
  } catch {
    return false;
  }
}

/**
 * Links with the code that the user typed into this page.
 *
 * @throws AutoglmError `helper-unlinked` for a wrong code, `helper-unreachable`, `helper-blocked`
 */
export async function linkByCode(helperUrl: string, code: string): Promise<void> {
  const base = helperUrl || DEFAULT_HELPER_URL;
  const url = new URL('/pair/claim', base);
  url.searchParams.set('code', code);
  const response = await claim(url.href);
  if (!response.ok) {
    const { message } = fromOpenAIError(response.status, await response.json().catch(() => undefined));
    throw new AutoglmError('helper-unlinked', message, { value: response.status });
  }
  keep(base, (await response.json()) as PairGrant);
}

async function claim(url: string): Promise<Response> {
  try {
    return await fetch(url, {
      ...localRequestInit(url),
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
      credentials: 'omit',
    });
  } catch (cause) {
    const permission = await queryLocalPermission(url);
    if (permission === 'denied') {
      throw new AutoglmError('helper-blocked', 'This page cannot reach the helper.', {
        cure: explainLocalFailure(permission) ?? 'Allow it in the browser.',
        cause,
      });
    }
    // An origin that is not linked may not read why it is refused, only whether somebody is there.
    const isThere = await fetch(new URL('/health', url), { ...localRequestInit(url), mode: 'no-cors' }).then(
      () => true,
      () => false,
    );
    if (isThere) {
      throw new AutoglmError('helper-unlinked', 'That is not the code, or too many wrong ones were tried.', {
        cure: 'See the code that the helper shows now.',
        cause,
      });
    }
    throw new AutoglmError('helper-unreachable', 'No helper answers.', {
      cure: explainLocalFailure(permission) ?? 'Start it with "autoglm serve".',
      cause,
    });
  }
}

function keep(url: string, grant: PairGrant): void {
  helperLinks.set(url, grant);
  try {
    sessionStorage.removeItem(PENDING_KEY);
  } catch {
    // There was nothing to remove.
  }
}
