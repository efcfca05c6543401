import type { CudaDriver, Handle } from './cuda-driver.ts';
import { cudaError, CUDA_NOT_READY, CUDA_SUCCESS, requireSuccess } from './cuda-result.ts';
import { DISABLE_TIMING } from './cuda-upload-ring.ts';

/** As long is an event asked for again at once; a decode step takes less. Then once a millisecond. */
const EAGER_MS = 8;

interface Waiting {
  readonly event: Handle;
  readonly action: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Resolves promises when the stream has come so far, by asking the driver between turns of Node's loop. */
export class CudaWaiter {
  readonly #driver: CudaDriver;
  readonly #stream: Handle;
  readonly #onError: (result: number, action: string) => void;
  /** In the order of the stream, so only the first needs to be asked for. */
  readonly #waiting: Waiting[] = [];
  readonly #free: Handle[] = [];
  #eagerUntil = 0;
  #isPolling = false;

  constructor(driver: CudaDriver, stream: Handle, onError: (result: number, action: string) => void) {
    this.#driver = driver;
    this.#stream = stream;
    this.#onError = onError;
  }

  /** Resolves when everything queued so far has run. */
  wait(action: string): Promise<void> {
    const event = this.#free.pop() ?? this.#create();
    requireSuccess(this.#driver.cuEventRecord(event, this.#stream), action);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ event, action, resolve, reject });
      this.#eagerUntil = performance.now() + EAGER_MS;
      if (this.#isPolling) return;
      this.#isPolling = true;
      setImmediate(this.#poll);
    });
  }

  /** Fails everything that waits. */
  destroy(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    for (const event of this.#free.splice(0)) this.#driver.cuEventDestroy_v2(event);
  }

  readonly #poll = (): void => {
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0];
      const result = this.#driver.cuEventQuery(first.event);
      if (result === CUDA_NOT_READY) break;
      this.#waiting.shift();
      this.#free.push(first.event);
      this.#eagerUntil = performance.now() + EAGER_MS;
      if (result === CUDA_SUCCESS) {
        first.resolve();
      } else {
        this.#onError(result, first.action);
        first.reject(cudaError(result, first.action));
      }
    }
    this.#isPolling = this.#waiting.length > 0;
    if (!this.#isPolling) return;
    if (performance.now() < this.#eagerUntil) setImmediate(this.#poll);
    else setTimeout(this.#poll, 1);
  };

  #create(): Handle {
    const event = new BigUint64Array(1);
    requireSuccess(this.#driver.cuEventCreate(event, DISABLE_TIMING), 'create an event');
    return event[0];
  }
}
