/** Options of one read from a `ShardSource`. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** True tries once: for what can be done without. */
  readonly isOptional?: boolean | undefined;
}

/** Which part of a file to open. */
export interface OpenFileOptions extends ReadOptions {
  /** First byte wanted; 0 unless told. */
  readonly offset?: number | undefined;
  /**
   * Length in bytes of the whole file, where the manifest tells it. The stream then carries exactly
   * `byteLength - offset` bytes or fails with `shard-truncated`.
   */
  readonly byteLength?: number | undefined;
}

/** Where a model folder comes from: a URL, a picked folder, a folder on disk. Paths are relative to the folder. */
export interface ShardSource {
  /** For people: the URL or the folder's name. */
  readonly label: string;
  /** Names the model in the cache; equal for two sources of the same folder. */
  readonly id: string;
  /** True when reading costs a network; a local folder is not worth a cache of its json files. */
  readonly isRemote: boolean;

  /** @throws AutoglmError `file-missing`, `http-status`, `http-not-bytes`, `network` or `cors`. */
  readText(path: string, options?: ReadOptions): Promise<string>;

  /** As `readText`, but `undefined` where the file is absent. */
  readOptionalText(path: string, options?: ReadOptions): Promise<string | undefined>;

  /**
   * Opens a file. Breaks of the connection are repaired inside the stream; what it cannot repair errors the
   * stream (or this call) with one of the codes of `readText` or `shard-truncated`.
   */
  openFile(path: string, options?: OpenFileOptions): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
}
