import { AutoglmError } from '../base/errors.ts';

/**
 * Reads the bytes of an image from a data, blob or http(s) URL.
 *
 * @throws AutoglmError `message-invalid` for another scheme, `network` or `http-status` when it cannot be fetched
 */
export async function readImageBytes(url: string, signal?: AbortSignal): Promise<Uint8Array> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined || !['data', 'blob', 'http', 'https'].includes(scheme)) {
    throw unreadable(url, 'a data:, blob:, http: or https: URL');
  }
  const response = await fetchImage(url, signal);
  if (!response.ok) {
    throw new AutoglmError(
      'http-status',
      `The image at "${shorten(url)}" answered with status ${response.status}.`,
      {
        value: response.status,
        limit: '200',
        cure: 'Check the address, or pass the picture as a data URL.',
      },
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}

async function fetchImage(url: string, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(url, signal ? { signal } : {});
  } catch (cause) {
    signal?.throwIfAborted();
    if (/^data:/i.test(url)) throw unreadable(url, 'a well-formed data: URL', cause);
    throw new AutoglmError('network', `The image at "${shorten(url)}" could not be fetched.`, {
      value: shorten(url),
      cure: 'Its server may not allow other sites to read it (CORS): pass the picture as a data URL.',
      cause,
    });
  }
}

function unreadable(url: string, limit: string, cause?: unknown): AutoglmError {
  return new AutoglmError('message-invalid', `Cannot read an image from "${shorten(url)}".`, {
    value: shorten(url),
    limit,
    cure: 'Pass the picture as a data URL.',
    cause,
  });
}

/** Data URLs run to megabytes; an error message shows their head. */
function shorten(url: string): string {
  return url.length > 80 ? `${url.slice(0, 77)}...` : url;
}
