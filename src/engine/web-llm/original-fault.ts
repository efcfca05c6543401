import { AutoglmError, isAbortError, type ErrorCode } from '../../base/errors.ts';

/** Codes of web-llm's errors by their names. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  MissingModelError: 'config-invalid',
  ModelNotFoundError: 'model-unknown',
  SpecifiedModelNotFoundError: 'model-unknown',
  WebGPUNotAvailableError: 'webgpu-unavailable',
  WebGPUNotFoundError: 'webgpu-unavailable',
  ShaderF16SupportError: 'limit-exceeded',
  FeatureSupportError: 'limit-exceeded',
  DeviceLostError: 'device-lost',
  ContextWindowSizeExceededError: 'prompt-too-long',
  ModelNotLoadedError: 'engine-unloaded',
  WorkerEngineModelNotLoadedError: 'engine-unloaded',
  IntegrityError: 'shard-corrupt',
  QuotaExceededError: 'quota-exceeded',
  NetworkError: 'network',
};

/** What to do about faults that only their text tells apart. */
const TEXTS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/Unable to find a compatible GPU/, 'webgpu-unavailable'],
  [/Cannot initialize runtime because of requested/, 'limit-exceeded'],
  [/Failed to fetch|network error|NetworkError|Cannot fetch|Load failed|Request failed/i, 'network'],
];

const CURES: Partial<Record<ErrorCode, string>> = {
  'config-invalid': 'Correct the model’s record in webLlm.appConfig.',
  'model-unknown': 'Use a model_id of web-llm, or add a record to webLlm.appConfig.',
  'webgpu-unavailable': 'Use a browser with WebGPU, and switch hardware acceleration on.',
  'limit-exceeded': 'Take a model that needs less, such as a q4f32 one.',
  'device-lost': 'Load a smaller model, or one with a shorter context.',
  'prompt-too-long': 'Shorten the conversation, or set a longer contextWindow.',
  'engine-unloaded': 'Create a new engine.',
  network: 'Check the network and the addresses of the model’s record, and load again.',
};

/**
 * What web-llm threw as an error of this package; from a worker it comes as text. Aborts pass through.
 *
 * @param otherwise the code of a fault that has none of its own.
 */
export function toOriginalFault(thrown: unknown, otherwise: ErrorCode): Error {
  if (thrown instanceof AutoglmError || isAbortError(thrown)) return thrown as Error;
  const { name, message } = readError(thrown);
  const code = CODES[name] ?? TEXTS.find(([form]) => form.test(message))?.[1] ?? otherwise;
  const cure = CURES[code];
  const text = message.trim().replace(/\.$/, '');
  return new AutoglmError(code, `web-llm: ${text}.`, { value: name, ...(cure && { cure }), cause: thrown });
}

function readError(thrown: unknown): { readonly name: string; readonly message: string } {
  if (thrown instanceof Error) return { name: thrown.name, message: thrown.message };
  const [, name = 'Error', message] = /^(?:Error: )?(\w*Error): (.*)$/s.exec(String(thrown)) ?? [];
  return { name, message: message ?? String(thrown) };
}
