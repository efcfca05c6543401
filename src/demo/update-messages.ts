/** What a page tells the service worker that waits: take over. */
export const SKIP_WAITING = 'skip-waiting';
