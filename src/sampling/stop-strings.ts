/** What may be shown after a piece of text went through a `StopStrings`. */
export interface StopResult {
  /** Text that is certain to lie before any stop string. */
  readonly text: string;
  /** The stop string that ended the answer; nothing after it comes out. */
  readonly stopped: string | undefined;
}

/** A prefix of stop strings: a node of the Aho-Corasick automaton. */
interface Node {
  /** Length of the prefix in UTF-16 units. */
  readonly depth: number;
  readonly next: Map<number, Node>;
  /** The longest proper suffix of this prefix that is a prefix as well. */
  fallback: Node | undefined;
  /** The longest stop string that ends here. */
  match: string | undefined;
}

/**
 * Cuts a text stream at the first stop string and never lets out a part of one: text that may be the beginning of a
 * stop string is held back until the next piece decides. Where two end at the same place, the longer one counts.
 * Time is linear in the text, whatever the number of stop strings (Aho and Corasick, 1975).
 */
export class StopStrings {
  readonly #root: Node;
  #state: Node;
  #held = '';
  #stopped: string | undefined;

  /** @param stops stop strings; empty ones are ignored. */
  constructor(stops: readonly string[]) {
    this.#root = buildAutomaton(stops.filter((stop) => stop !== ''));
    this.#state = this.#root;
  }

  /** Adds text and gives what may be shown now. After a stop string it gives nothing more. */
  push(text: string): StopResult {
    if (this.#stopped !== undefined) return { text: '', stopped: this.#stopped };
    const all = this.#held + text;
    for (let end = this.#held.length; end < all.length; end++) {
      this.#state = step(this.#root, this.#state, all.charCodeAt(end));
      const { match } = this.#state;
      if (match !== undefined) {
        this.#held = '';
        this.#stopped = match;
        return { text: all.slice(0, end + 1 - match.length), stopped: match };
      }
    }
    const shown = all.length - this.#state.depth;
    this.#held = all.slice(shown);
    return { text: all.slice(0, shown), stopped: undefined };
  }

  /** Ends the stream: gives the text that was held back, which turned out to begin no stop string. */
  flush(): StopResult {
    const text = this.#held;
    this.#held = '';
    this.#state = this.#root;
    return { text, stopped: this.#stopped };
  }
}

function createNode(depth: number): Node {
  return { depth, next: new Map(), fallback: undefined, match: undefined };
}

function buildAutomaton(stops: readonly string[]): Node {
  const root = createNode(0);
  for (const stop of stops) insert(root, stop);
  const queue = [root];
  for (const node of queue) {
    for (const [unit, child] of node.next) {
      child.fallback = node === root ? root : step(root, node.fallback as Node, unit);
      child.match ??= child.fallback.match;
      queue.push(child);
    }
  }
  return root;
}

function insert(root: Node, stop: string): void {
  let node = root;
  for (let index = 0; index < stop.length; index++) {
    const unit = stop.charCodeAt(index);
    let child = node.next.get(unit);
    if (child === undefined) {
      child = createNode(index + 1);
      node.next.set(unit, child);
    }
    node = child;
  }
  node.match = stop;
}

/** The longest prefix of a stop string with which the text ends after one more UTF-16 unit. */
function step(root: Node, from: Node, unit: number): Node {
  let node: Node | undefined = from;
  while (node !== undefined) {
    const child = node.next.get(unit);
    if (child !== undefined) return child;
    node = node.fallback;
  }
  return root;
}
