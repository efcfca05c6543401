/** The script of a dedicated worker that hosts an engine; see `src/protocol/worker-messages.ts`. */
import { openBrowserEngine } from '../engine/open-browser-engine.ts';
import type { WorkerRequest, WorkerResponse } from '../protocol/worker-messages.ts';
import { EngineHost } from './engine-host.ts';

const host = new EngineHost(openBrowserEngine, (message: WorkerResponse) => self.postMessage(message));
self.addEventListener('message', ({ data }: MessageEvent<WorkerRequest>) => void host.receive(data));
