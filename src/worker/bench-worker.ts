/** The script of the bench page's worker: one request in, one `{report, text}` or `{error}` out. */
import { runBrowserBench } from '../engine/run-browser-bench.ts';

type Request = Parameters<typeof runBrowserBench>[0];

self.addEventListener('message', ({ data }: MessageEvent<Request>) => {
  runBrowserBench(data).then(
    (result) => self.postMessage(result),
    (error: unknown) => self.postMessage({ error: error instanceof Error ? error.message : String(error) }),
  );
});
