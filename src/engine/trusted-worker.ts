interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

let policy: ReturnType<TrustedTypes['createPolicy']> | undefined;

function trust(url: string): string {
  const { trustedTypes } = globalThis as { readonly trustedTypes?: TrustedTypes };
  if (trustedTypes === undefined) return url;
  policy ??= trustedTypes.createPolicy('autoglm', { createScriptURL: (trusted) => trusted });
  return policy.createScriptURL(url);
}

const bootstraps = new Map<string, string>();

/**
 * The address that a worker can be started from. Browsers refuse workers of another origin, which a page meets
 * that takes the package from a CDN: a script of its own then imports the real one, whose relative addresses stay
 * right. A page's policy has to allow that: `worker-src blob:` and the CDN in `script-src`.
 *
 * @param origin the page's; `null` for opaque ones, such as a sandboxed frame's.
 */
export function toWorkerAddress(url: string, origin: string): string {
  if (new URL(url).origin === origin || /^(?:blob|data):/.test(url)) return url;
  const known = bootstraps.get(url);
  if (known !== undefined) return known;
  const script = new Blob([`import ${JSON.stringify(url)};`], { type: 'text/javascript' });
  // Never revoked: a few bytes a script, and a worker may fetch it at any later time.
  const address = URL.createObjectURL(script);
  bootstraps.set(url, address);
  return address;
}

/**
 * The platform's `Worker`, also for pages that demand Trusted Types, which allow the policy `autoglm`, and for
 * scripts of another origin.
 *
 * Import it as `Worker`: bundlers look for the words `new Worker(new URL(…))` to find the worker's script. Only
 * give it addresses of the package's own, and only module workers.
 */
export const TrustedWorker = function startTrustedWorker(url: string | URL, options?: WorkerOptions): Worker {
  const address = new URL(url, document.baseURI).href;
  return new globalThis.Worker(trust(toWorkerAddress(address, location.origin)), options);
} as unknown as typeof Worker;

/**
 * The platform's `SharedWorker` in the same way. A script of another origin could not be shared: every page would
 * start one of its own under another address.
 *
 * @throws DOMException `SecurityError` for a script of another origin
 */
export const TrustedSharedWorker = function startTrustedSharedWorker(
  url: string | URL,
  options?: WorkerOptions,
): SharedWorker {
  const address = new URL(url, document.baseURI);
  if (address.origin !== location.origin) {
    throw new DOMException('A script of another origin cannot be shared.', 'SecurityError');
  }
  return new globalThis.SharedWorker(trust(address.href), options);
} as unknown as typeof SharedWorker;
