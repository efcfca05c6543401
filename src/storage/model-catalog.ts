import type { KeyValueStore } from './key-value-store.ts';

/** What the cache knows of one model. */
export interface ModelRecord {
  /** `ShardSource.id` of where it came from. */
  readonly id: string;
  readonly label: string;
  readonly shards: readonly { readonly key: string; readonly byteLength: number }[];
  readonly byteLength: number;
  /** Written last: all shards and texts are there, and the model loads without a network. */
  readonly isComplete: boolean;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

/** A text of a model folder; `undefined` tells that the folder has no such file. */
interface TextRecord {
  readonly text: string | undefined;
}

const MODEL = 'model/';
const TEXT = 'text/';

/** The models in a cache and their json files. */
export class ModelCatalog {
  readonly #store: KeyValueStore;

  constructor(store: KeyValueStore) {
    this.#store = store;
  }

  get(id: string): Promise<ModelRecord | undefined> {
    return this.#store.get(MODEL + id);
  }

  async put(record: ModelRecord): Promise<void> {
    await this.#store.set([[MODEL + record.id, record]]);
  }

  async list(): Promise<ModelRecord[]> {
    const ids = await this.#store.keysBelow(MODEL);
    const records = await Promise.all(ids.map((id) => this.get(id)));
    return records.filter((record) => record !== undefined);
  }

  /** Removes the record and the texts; the shards stay. */
  async delete(id: string): Promise<void> {
    const texts = await this.#store.keysBelow(textKey(id, ''));
    await this.#store.delete([MODEL + id, ...texts.map((path) => textKey(id, path))]);
  }

  getText(id: string, path: string): Promise<TextRecord | undefined> {
    return this.#store.get(textKey(id, path));
  }

  async putText(id: string, path: string, text: string | undefined): Promise<void> {
    const record: TextRecord = { text };
    await this.#store.set([[textKey(id, path), record]]);
  }

  /** Texts of a model by path, without the files it has not. */
  async texts(id: string): Promise<Map<string, string>> {
    const paths = await this.#store.keysBelow(textKey(id, ''));
    const texts = new Map<string, string>();
    for (const path of paths) {
      const record = await this.getText(id, path);
      if (record?.text !== undefined) texts.set(path, record.text);
    }
    return texts;
  }
}

/** The id is encoded, so that no id is the start of another's texts. */
function textKey(id: string, path: string): string {
  return `${TEXT}${encodeURIComponent(id)}/${path}`;
}
