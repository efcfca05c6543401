import { closeSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { AutoglmError } from '../base/errors.ts';
import { BlockKernel } from './block-kernel.ts';
import type { BlockJob, ConvertedBlock } from './convert-block.ts';

/** Reads and converts pieces of tensors one after the other, in one kernel's memory. */
export class BlockReader {
  #path = '';
  #file = -1;
  readonly #kernel = new BlockKernel();

  /**
   * @throws AutoglmError `checkpoint-invalid` when the file ends inside the piece, or as `convertBlock` does.
   */
  convert(job: BlockJob): ConvertedBlock {
    const bytes = this.#kernel.reserve(job.byteLength);
    this.#open(job.path);
    for (let done = 0; done < bytes.byteLength;) {
      const count = readSync(this.#file, bytes, done, bytes.byteLength - done, job.byteOffset + done);
      if (count === 0) throw truncated(job, done);
      done += count;
    }
    return this.#kernel.convert(job);
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
    this.#path = '';
  }

  #open(path: string): void {
    if (this.#path === path) return;
    this.close();
    this.#file = openSync(path, 'r');
    this.#path = path;
  }
}

function truncated(job: BlockJob, done: number): AutoglmError {
  return new AutoglmError(
    'checkpoint-invalid',
    `Cannot read "${job.tensorName}": ${basename(job.path)} ends at byte ${job.byteOffset + done}, ${job.byteOffset + job.byteLength} are needed.`,
    {
      value: job.byteOffset + done,
      limit: job.byteOffset + job.byteLength,
      cure: 'Download the file again.',
    },
  );
}
