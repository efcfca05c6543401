import { abortable } from '../../base/abortable.ts';
import type { Engine, LoadProgress } from '../engine.ts';
import { LanguageModelSession } from './language-model-session.ts';
import type { Availability, SessionCoreOptions, SessionOptions } from './prompt-types.ts';

/** Where the Prompt API's model comes from. */
export interface LanguageModelSource {
  /** Creates the engine, with the first session. All sessions share it. */
  createEngine(options: {
    readonly signal: AbortSignal;
    readonly onProgress: (progress: LoadProgress) => void;
  }): Promise<Engine>;
  /** Whether the model's files are on this device already; without it they count as not. */
  isDownloaded?(): Promise<boolean>;
}

/** Limits and defaults of sampling. */
export interface LanguageModelParams {
  readonly defaultTopK: number;
  readonly maxTopK: number;
  readonly defaultTemperature: number;
  readonly maxTemperature: number;
}

/** The Prompt API's `LanguageModel`: what stands in `window.LanguageModel`. */
export interface LanguageModelClass {
  readonly prototype: LanguageModelSession;
  /** Whether such a session can be had now, or after a download. */
  availability(options?: SessionCoreOptions): Promise<Availability>;
  /** Begins a conversation; the first loads the model. */
  create(options?: SessionOptions): Promise<LanguageModelSession>;
  /** Limits and defaults of sampling. */
  params(): Promise<LanguageModelParams>;
}

/** Languages that the model was trained for. */
const LANGUAGES: ReadonlySet<string> = new Set(['en', 'zh']);

/** The Prompt API over an engine: a class in the shape of Chrome's `LanguageModel`. */
export function createLanguageModelClass(source: LanguageModelSource): LanguageModelClass {
  const engines = new SharedEngine(source);
  return class LanguageModel extends LanguageModelSession {
    static async availability(options: SessionCoreOptions = {}): Promise<Availability> {
      requireContents(options);
      return isSupported(options) ? engines.availability() : 'unavailable';
    }

    static async create(options: SessionOptions = {}): Promise<LanguageModelSession> {
      options.signal?.throwIfAborted();
      requireContents(options);
      requireTools(options);
      requireSampling(options);
      if (!isSupported(options)) {
        throw new DOMException(
          'The model takes text and pictures in English and Chinese.',
          'NotSupportedError',
        );
      }
      return this.open(await engines.get(options), options);
    }

    static async params(): Promise<LanguageModelParams> {
      return { defaultTopK: 0, maxTopK: 1000, defaultTemperature: 0.8, maxTemperature: 2 };
    }
  };
}

/**
 * Puts the class where Chrome has its own, unless there is one already.
 *
 * With `force` it replaces the browser's own.
 *
 * @returns whether it was installed.
 */
export function installLanguageModel(
  source: LanguageModelSource,
  { scope = globalThis, force = false }: { readonly scope?: object; readonly force?: boolean } = {},
): boolean {
  if ('LanguageModel' in scope && !force) return false;
  Object.defineProperty(scope, 'LanguageModel', {
    value: createLanguageModelClass(source),
    writable: true,
    configurable: true,
  });
  return true;
}

/** The one engine of all sessions, from its first use on. */
class SharedEngine {
  readonly #source: LanguageModelSource;
  readonly #monitors = new Set<DownloadMonitor>();
  #loading: Promise<Engine> | undefined;
  #engine: Engine | undefined;

  constructor(source: LanguageModelSource) {
    this.#source = source;
  }

  async availability(): Promise<Availability> {
    if (this.#engine) return 'available';
    if (this.#loading) return 'downloading';
    if (typeof navigator === 'undefined') return 'unavailable';
    return (await this.#source.isDownloaded?.()) ? 'available' : 'downloadable';
  }

  /** A session that is given up does not take the engine from the others. */
  async get({ monitor, signal }: SessionOptions): Promise<Engine> {
    const target = new DownloadMonitor();
    monitor?.(target);
    this.#monitors.add(target);
    try {
      target.tell(0);
      const loading = (this.#loading ??= this.#load());
      const engine = await (signal ? abortable(loading, signal) : loading);
      target.tell(1);
      signal?.throwIfAborted();
      return engine;
    } finally {
      this.#monitors.delete(target);
    }
  }

  async #load(): Promise<Engine> {
    try {
      const engine = await this.#source.createEngine({
        signal: new AbortController().signal,
        onProgress: ({ loadedBytes, totalBytes }) => {
          // The ends are told by themselves, once each.
          const share = totalBytes > 0 ? loadedBytes / totalBytes : 0;
          if (share < 1) for (const target of this.#monitors) target.tell(share);
        },
      });
      this.#engine = engine;
      return engine;
    } catch (error) {
      // The next session tries again.
      this.#loading = undefined;
      throw error;
    }
  }
}

/** Steps in which the API tells of a download: finer ones would tell its size. */
const PROGRESS_STEPS = 0x10000;

/** Gets the progress of a download: ever more, in the API's steps, each once. */
class DownloadMonitor extends EventTarget {
  #told = -1;

  tell(share: number): void {
    const step = Math.floor(share * PROGRESS_STEPS);
    if (step <= this.#told) return;
    this.#told = step;
    const event = new Event('downloadprogress');
    const loaded = step / PROGRESS_STEPS;
    this.dispatchEvent(Object.assign(event, { lengthComputable: true, loaded, total: 1 }));
  }
}

/** What the API knows as the type of a content, whether a model takes it or not. */
const CONTENT_TYPES: ReadonlySet<string> = new Set([
  'text',
  'image',
  'audio',
  'video',
  'tool-call',
  'tool-response',
]);

/** @throws TypeError for a type that there is not; RangeError for a language tag that is none */
function requireContents({ expectedInputs = [], expectedOutputs = [] }: SessionCoreOptions): void {
  for (const { type, languages = [] } of [...expectedInputs, ...expectedOutputs]) {
    if (!CONTENT_TYPES.has(type)) throw new TypeError(`"${String(type)}" is no type of content.`);
    Intl.getCanonicalLocales([...languages]);
  }
}

/** @throws TypeError for a function that cannot be told to the model or called */
function requireTools({ tools = [] }: SessionCoreOptions): void {
  const names = new Set<string>();
  for (const { name, description, inputSchema, execute } of tools) {
    if (!name || !description) throw new TypeError('A tool has a "name" and a "description".');
    if (names.has(name)) throw new TypeError(`Two tools are called "${name}".`);
    names.add(name);
    if (typeof inputSchema !== 'object' || inputSchema === null) {
      throw new TypeError(`The tool "${name}" has no JSON Schema as its "inputSchema".`);
    }
    // What cannot be written as JSON throws here, in its own words.
    const schema = JSON.parse(JSON.stringify(inputSchema)) as Readonly<Record<string, unknown>>;
    const { type, properties = {}, required = [] } = schema;
    if (type !== 'object' || typeof properties !== 'object' || !Array.isArray(required)) {
      throw new TypeError(`The "inputSchema" of the tool "${name}" describes no object.`);
    }
    if (typeof execute !== 'function') throw new TypeError(`The tool "${name}" has no function "execute".`);
  }
}

function isSupported({ expectedInputs = [], expectedOutputs = [] }: SessionCoreOptions): boolean {
  const areLanguagesKnown = [...expectedInputs, ...expectedOutputs]
    .flatMap(({ languages = [] }) => languages)
    .every((language) => LANGUAGES.has(language.toLowerCase().split('-')[0] ?? ''));
  return (
    areLanguagesKnown &&
    expectedInputs.every(({ type }) => type !== 'audio') &&
    expectedOutputs.every(({ type }) => type === 'text')
  );
}

function requireSampling({ temperature, topK, samplingMode }: SessionCoreOptions): void {
  if (samplingMode !== undefined && (temperature !== undefined || topK !== undefined)) {
    throw new TypeError('A session has a "samplingMode", or "temperature" and "topK".');
  }
  if ((temperature === undefined) !== (topK === undefined)) {
    throw new DOMException('"temperature" and "topK" are given together, or neither.', 'NotSupportedError');
  }
  if (temperature !== undefined && !(temperature >= 0)) {
    throw new RangeError(`"temperature" is ${temperature}; it must be 0 or more.`);
  }
  if (topK !== undefined && !(topK >= 1)) throw new RangeError(`"topK" is ${topK}; it must be 1 or more.`);
}
