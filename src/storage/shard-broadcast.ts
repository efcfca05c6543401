/** One report of a tab that fetches a shard. */
interface ShardMessage {
  readonly name: string;
  readonly loadedBytes: number;
}

const CHANNEL_NAME = 'autoglm-shards';

/** Tells the tabs that wait for a shard how far the one that fetches it is. */
export class ShardBroadcast {
  readonly #name: string;
  readonly #channel: BroadcastChannel | undefined;
  readonly #listener: ((event: MessageEvent<ShardMessage>) => void) | undefined;

  constructor(name: string, onOthersBytes: ((loadedBytes: number) => void) | undefined) {
    this.#name = name;
    this.#channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel(CHANNEL_NAME) : undefined;
    if (onOthersBytes === undefined) return;
    this.#listener = ({ data }) => {
      if (data.name === name) onOthersBytes(data.loadedBytes);
    };
    this.#channel?.addEventListener('message', this.#listener);
  }

  /** Tells the others. */
  post(loadedBytes: number): void {
    const message: ShardMessage = { name: this.#name, loadedBytes };
    this.#channel?.postMessage(message);
  }

  stopListening(): void {
    if (this.#listener) this.#channel?.removeEventListener('message', this.#listener);
  }

  close(): void {
    this.#channel?.close();
  }
}
