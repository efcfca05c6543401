import { Worker } from 'node:worker_threads';
import { AutoglmError } from '../base/errors.ts';
import { BlockReader } from './block-reader.ts';
import type { BlockReply } from './block-worker.ts';
import type { BlockJob, ConvertedBlock } from './convert-block.ts';

/** Converts pieces of tensors, several at a time where it has threads. */
export interface BlockPool extends Disposable {
  /** How many jobs keep it busy. */
  readonly capacity: number;
  /** @throws AutoglmError as `BlockReader.convert` does. */
  convert(job: BlockJob): Promise<ConvertedBlock>;
}

/**
 * @param threads worker threads; 0 converts on the calling thread
 * @param workerUrl the built `block-worker.ts`; without it (running from TypeScript sources, which Node 20's
 *   threads cannot load) the calling thread converts
 */
export function createBlockPool(threads: number, workerUrl: URL | undefined): BlockPool {
  return threads > 0 && workerUrl !== undefined ? new ThreadedPool(threads, workerUrl) : new InlinePool();
}

class InlinePool implements BlockPool {
  readonly capacity = 1;
  readonly #reader = new BlockReader();

  async convert(job: BlockJob): Promise<ConvertedBlock> {
    return this.#reader.convert(job);
  }

  [Symbol.dispose](): void {
    this.#reader.close();
  }
}

interface Waiting {
  readonly resolve: (block: ConvertedBlock) => void;
  readonly reject: (error: Error) => void;
}

class ThreadedPool implements BlockPool {
  readonly capacity: number;
  readonly #workers: readonly Worker[];
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;

  constructor(threads: number, workerUrl: URL) {
    // Two a thread: the next one is queued while the result of the last is written.
    this.capacity = 2 * threads;
    this.#workers = Array.from({ length: threads }, () => this.#start(workerUrl));
  }

  convert(job: BlockJob): Promise<ConvertedBlock> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = withResolvers();
    this.#waiting.set(id, { resolve, reject });
    this.#workers[id % this.#workers.length]!.postMessage({ id, job }, []);
    return promise;
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) void worker.terminate();
  }

  #start(workerUrl: URL): Worker {
    const worker = new Worker(workerUrl);
    worker.on('message', (reply: BlockReply) => this.#settle(reply));
    worker.on('error', (error) => this.#failAll(error));
    return worker;
  }

  #settle(reply: BlockReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('error' in reply) waiting?.reject(AutoglmError.fromJSON(reply.error));
    else waiting?.resolve(reply.block);
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function withResolvers(): Waiting & { promise: Promise<ConvertedBlock> } {
  let resolve!: Waiting['resolve'];
  let reject!: Waiting['reject'];
  const promise = new Promise<ConvertedBlock>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
