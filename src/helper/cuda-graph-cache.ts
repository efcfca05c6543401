import type { Handle, CudaDriver } from './cuda-driver.ts';
import type { Command, CudaStream } from './cuda-stream.ts';

/** Fewest launches for which a graph pays. */
const LEAST_LAUNCHES = 16;
/** Sequences that are remembered; a decode step of each number of columns, with and without extras, fits in. */
const MOST_SEQUENCES = 64;

interface Known {
  readonly words: Int32Array;
  graph: Handle | undefined;
}

/**
 * Turns sequences of commands that come again into graphs: the first time they are launched one by one, the second
 * time they are captured, and from then on one launch replays them. A decode step is the same from token to token,
 * since all that changes lies in device memory.
 */
export class CudaGraphCache {
  readonly #driver: CudaDriver;
  readonly #stream: CudaStream;
  /** By hash; in order of last use. */
  readonly #known = new Map<number, Known>();

  constructor(driver: CudaDriver, stream: CudaStream) {
    this.#driver = driver;
    this.#stream = stream;
  }

  run(commands: readonly Command[]): void {
    const words = describe(commands);
    if (!words) {
      for (const command of commands) this.#stream.run(command);
      return;
    }
    const hash = hashWords(words);
    const known = this.#known.get(hash);
    const isSame = known !== undefined && equals(known.words, words);
    if (!isSame) {
      this.#remember(hash, { words, graph: undefined });
      for (const command of commands) this.#stream.run(command);
      return;
    }
    known.graph ??= this.#stream.capture(commands);
    this.#remember(hash, known);
    this.#stream.replay(known.graph);
  }

  /** Forgets all graphs; buffers that they use may then be freed. */
  clear(): void {
    for (const { graph } of this.#known.values()) this.#free(graph);
    this.#known.clear();
  }

  #remember(hash: number, known: Known): void {
    const present = this.#known.get(hash);
    if (present && present !== known) this.#free(present.graph);
    this.#known.delete(hash);
    this.#known.set(hash, known);
    if (this.#known.size <= MOST_SEQUENCES) return;
    const [oldest, { graph }] = this.#known.entries().next().value as [number, Known];
    this.#free(graph);
    this.#known.delete(oldest);
  }

  #free(graph: Handle | undefined): void {
    if (graph !== undefined) this.#driver.cuGraphExecDestroy(graph);
  }
}

/** A sequence of launches in numbers; undefined where a graph does not pay or the sequence copies. */
function describe(commands: readonly Command[]): Int32Array | undefined {
  if (commands.length < LEAST_LAUNCHES) return undefined;
  const words = new Int32Array(commands.length * 4);
  let offset = 0;
  for (const command of commands) {
    if (command.kind !== 'launch') return undefined;
    const { bindings, grid } = command;
    words[offset++] = bindings.id;
    words[offset++] = grid[0];
    words[offset++] = grid[1];
    words[offset++] = grid[2];
  }
  return words;
}

/** FNV-1a over words. */
function hashWords(words: Int32Array): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < words.length; index++) hash = Math.imul(hash ^ words[index], 0x01000193);
  return hash;
}

function equals(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}
