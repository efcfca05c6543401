import { CountingEngine } from '../../worker/counting-engine.test-support.ts';
import { MLCEngine } from './mlc-engine.ts';
import type { ChatWorker } from './worker-client.ts';
import { WebWorkerMLCEngineHandler, type MlcWorkerResponse } from './worker-handler.ts';

/** A handler with a counting engine behind a real channel. */
export function createHandler() {
  const { port1, port2 } = new MessageChannel();
  class PortHandler extends WebWorkerMLCEngineHandler {
    override postMessage(message: MlcWorkerResponse): void {
      port2.postMessage(message);
    }
  }
  const handler = new PortHandler();
  const counting = new CountingEngine();
  handler.engine = MLCEngine.withOpener(async () => counting);
  port2.addEventListener('message', (event) => handler.onmessage(event));
  port2.start();
  const worker: ChatWorker = {
    onmessage: null,
    postMessage: (message) => port1.postMessage(message),
  };
  port1.addEventListener(
    'message',
    (event) => void worker.onmessage?.(event as MessageEvent<MlcWorkerResponse>),
  );
  port1.start();
  return { worker, handler, counting, [Symbol.dispose]: () => (port1.close(), port2.close()) };
}
