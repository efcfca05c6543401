/** The thread that `BlockPool` starts: takes jobs, posts converted pieces or plain errors. */
import { parentPort } from 'node:worker_threads';
import { AutoglmError, toError, type SerializedError } from '../base/errors.ts';
import { BlockReader } from './block-reader.ts';
import type { BlockJob, ConvertedBlock } from './convert-block.ts';

/** What a worker answers to one job. */
export type BlockReply =
  | { readonly id: number; readonly block: ConvertedBlock }
  | { readonly id: number; readonly error: SerializedError };

const reader = new BlockReader();

parentPort?.on('message', ({ id, job }: { id: number; job: BlockJob }) => {
  try {
    const block = reader.convert(job);
    const reply: BlockReply = { id, block };
    parentPort?.postMessage(reply, [...new Set([block.values.buffer, block.scales.buffer])]);
  } catch (thrown) {
    const error = toError(thrown);
    const plain = error instanceof AutoglmError ? error : new AutoglmError('internal', error.message);
    parentPort?.postMessage({ id, error: plain.toJSON() } satisfies BlockReply, []);
  }
});
