/**
 * What a page and its local helper say to each other over HTTP, beside OpenAI's own routes.
 *
 * | route | who may | what |
 * |---|---|---|
 * | `GET /health` | anybody on this machine; no origin that is not linked | `HelperHealth` |
 * | `GET /pair` | the user's browser, as a page of its own | the helper's page to approve an origin |
 * | `POST /pair/approve` | that page alone | `PairApproval` → `PairGrant` |
 * | `POST /pair/claim?code=…` | any origin that knows the code that the helper shows | `PairClaim` → `PairGrant` |
 * | `GET /v1/models`, `POST /v1/chat/completions` | token | OpenAI's, a model with `HelperModelFacts` in `autoglm` |
 * | `POST /v1/autoglm/prefill` | token | the engine's `PrefillRequest` → `PrefillSummary`; a client's next one ends it |
 * | `POST /v1/autoglm/models` | token | `ModelOffer` → `ModelOfferAnswer`: which shards are still needed |
 * | `PUT /v1/autoglm/models/:id/:shard` | token | the shard's bytes; kept when its sha256 is right |
 * | `POST /v1/autoglm/models/:id/load` | token | runs it → `HelperHealth` |
 * | `GET /metrics` | token | Prometheus |
 *
 * A token goes into `Authorization: Bearer …`. A page's token works for its origin alone, a program's only for
 * requests without an origin. Faults are OpenAI's error bodies.
 */

/** The port that the helper listens on unless told otherwise. */
export const DEFAULT_HELPER_PORT = 11435;

/** Where a page looks for the helper unless told otherwise. */
export const DEFAULT_HELPER_URL = `http://127.0.0.1:${DEFAULT_HELPER_PORT}`;

/** `GET /health`. Without a token only `status` is told. */
export interface HelperHealth {
  /** `empty`: no model yet; `stopping`: it takes no more requests. */
  readonly status: 'ready' | 'loading' | 'empty' | 'failed' | 'stopping';
  readonly model?: HelperModelFacts | undefined;
  readonly running?: number;
  readonly waiting?: number;
  /** Why the last load failed. */
  readonly fault?: string | undefined;
}

/** What the helper's model runs on and with; the engine's own `EngineInfo`, flat. */
export interface HelperModelFacts {
  readonly id: string;
  readonly backend: string;
  readonly adapter: string;
  readonly isSoftware: boolean;
  readonly contextWindow: number;
  readonly gpuBytes: number;
  readonly quantization: string;
  /** sha256 of tensor-cache.json, which holds those of the shards: two folders with it are the same model. */
  readonly fingerprint?: string | undefined;
}

/** `GET /v1/models`. */
export interface ModelList {
  readonly object: 'list';
  readonly data: readonly ListedModel[];
}

/** One model of the list. */
export interface ListedModel {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
  /** vLLM's name for the context window, which SGLang shares. */
  readonly max_model_len?: number;
  readonly autoglm?: HelperModelFacts;
}

/** `POST /pair/approve`: the user allows an origin on the helper's own page. */
export interface PairApproval {
  readonly origin: string;
  readonly code: string;
}

/** `POST /pair/claim`: a page gives the code that its user typed into it. The code itself is in the URL. */
export type PairClaim = Readonly<Record<string, never>>;

/** A link: the token is shown this once. */
export interface PairGrant {
  readonly token: string;
  readonly origin: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What the helper's page posts to the page that opened it, with that page's exact origin as target. */
export interface PairMessage extends PairGrant {
  readonly type: 'autoglm-pair';
  /** The opener's nonce, given back. */
  readonly state: string;
}

/** `POST /v1/autoglm/models`: a model folder's texts by name; the shards follow by their hashes. */
export interface ModelOffer {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
}

/** Which shards of an offered model the helper does not have yet. */
export interface ModelOfferAnswer {
  /** Id of the model in the helper's cache: its fingerprint. */
  readonly id: string;
  readonly missing: readonly string[];
}
