/**
 * Requests from a page to the user's own machine, which browsers guard: Chrome asks the user (Local Network
 * Access, from version 142), Firefox does too in newer versions, Safari blocks http from an https page.
 */

/** Whether the browser lets the page reach the user's machine. */
export type LocalPermission =
  /** It was allowed, or the page is on this machine itself, so that nothing is asked. */
  | 'granted'
  /** The next request makes the browser ask the user. */
  | 'prompt'
  | 'denied'
  /** The browser does not tell; it may still ask or refuse. */
  | 'unknown';

/** Names of the permission, newest first: Chrome 145 split the one of 142 into two. */
const PERMISSION_NAMES = {
  loopback: ['loopback-network', 'local-network-access'],
  local: ['local-network', 'local-network-access'],
} as const;

/** Where an address is: on this machine, on its network, or undefined for anywhere else. */
export function addressSpaceOf(url: string): 'loopback' | 'local' | undefined {
  const { hostname } = new URL(url);
  if (/^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return 'loopback';
  const isLocal =
    /^(10(\.\d+){3}|192\.168(\.\d+){2}|172\.(1[6-9]|2\d|3[01])(\.\d+){2}|169\.254(\.\d+){2})$/.test(
      hostname,
    ) ||
    /^\[f[cde]/.test(hostname) ||
    hostname.endsWith('.local');
  return isLocal ? 'local' : undefined;
}

/** What a `fetch` to this address needs beside the usual, in browsers that know it. */
export function localRequestInit(url: string): RequestInit {
  const targetAddressSpace = addressSpaceOf(url);
  const isKnown = typeof Request !== 'undefined' && 'targetAddressSpace' in Request.prototype;
  return targetAddressSpace === undefined || !isKnown ? {} : ({ targetAddressSpace } as RequestInit);
}

/** Asks the browser, without asking the user. */
export async function queryLocalPermission(url: string): Promise<LocalPermission> {
  const space = addressSpaceOf(url);
  if (space === undefined || isPageOnThisMachine()) return 'granted';
  for (const name of PERMISSION_NAMES[space]) {
    try {
      const { state } = await navigator.permissions.query({ name: name as PermissionName });
      return state;
    } catch {
      // This browser does not know the name.
    }
  }
  return 'unknown';
}

/** Why a request to the user's machine that failed may have failed, in words. */
export function explainLocalFailure(permission: LocalPermission): string | undefined {
  if (permission === 'denied') {
    return 'The browser was told not to let this page reach apps on this device. Allow it in the site’s settings, beside the address.';
  }
  const { userAgent = '' } = (globalThis.navigator ?? {}) as Partial<Navigator>;
  const isHttps = globalThis.location?.protocol === 'https:';
  if (isHttps && /Safari\//.test(userAgent) && !/Chrom/.test(userAgent)) {
    return 'Safari lets no https page reach a program on this computer. Open the page in Chrome, Edge or Firefox.';
  }
  if (/Firefox\//.test(userAgent)) {
    return 'If Firefox asks whether the page may reach apps on this device, allow it.';
  }
  return undefined;
}

function isPageOnThisMachine(): boolean {
  const { href } = globalThis.location ?? {};
  return href !== undefined && /^https?:/.test(href) && isLoopback(href);
}

function isLoopback(url: string): boolean {
  return addressSpaceOf(url) === 'loopback';
}
