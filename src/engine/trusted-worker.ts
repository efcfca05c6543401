interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

let policy: ReturnType<TrustedTypes['createPolicy']> | undefined;

function trust(url: string | URL): string {
  const { trustedTypes } = globalThis as { readonly trustedTypes?: TrustedTypes };
  if (trustedTypes === undefined) return String(url);
  policy ??= trustedTypes.createPolicy('autoglm', { createScriptURL: (trusted) => trusted });
  return policy.createScriptURL(String(url));
}

/**
 * The platform's `Worker`, also for pages that demand Trusted Types; they allow the policy `autoglm`.
 *
 * Import it as `Worker`: bundlers look for the words `new Worker(new URL(…))` to find the worker's script. Only
 * give it addresses of the package's own.
 */
export const TrustedWorker = function startTrustedWorker(url: string | URL, options?: WorkerOptions): Worker {
  return new globalThis.Worker(trust(url), options);
} as unknown as typeof Worker;
