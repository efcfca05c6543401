import { AutoglmError, isAutoglmError } from '../base/errors.ts';
import type { Engine } from '../engine/engine.ts';
import type { ChatCompletionRequest, FinishReason, Usage } from '../engine/openai.ts';
import { buildMessages } from './build-messages.ts';
import type { ToImageUrl } from './build-messages.ts';
import type { Turn } from './conversation.ts';

/** Settings that go into every request as they are. */
export type GenerationSettings = Omit<
  ChatCompletionRequest,
  'messages' | 'stream' | 'stream_options' | 'model' | 'logprobs' | 'top_logprobs'
>;

/** What an answer needs besides the engine. */
export interface AnswerRequest {
  /** Shown turns, the last of which is answered. */
  readonly turns: readonly Turn[];
  readonly systemPrompt: string;
  readonly generation: GenerationSettings;
  readonly toImageUrl: ToImageUrl;
  readonly signal: AbortSignal;
  readonly onText: (text: string) => void;
}

/** What is known of an answer at its end. */
export interface AnswerEnd {
  readonly finish: FinishReason;
  readonly usage: Usage | null;
  /** The engine's name for the answer. */
  readonly completionId: string | null;
  readonly leftOutTurnCount: number;
}

/**
 * Streams one answer. A conversation that is longer than the context is sent again without its oldest turns,
 * two at a time, until it fits; how many were left out is told.
 *
 * @throws AutoglmError, or `AbortError` when the signal aborts.
 */
export async function streamAnswer(engine: Engine, request: AnswerRequest): Promise<AnswerEnd> {
  const { turns } = request;
  for (let leftOut = 0; ; leftOut += 2) {
    try {
      const end = await streamOnce(engine, { ...request, turns: turns.slice(leftOut) });
      return { ...end, leftOutTurnCount: leftOut };
    } catch (error) {
      if (!isAutoglmError(error, 'prompt-too-long') || leftOut + 2 >= turns.length) throw error;
    }
  }
}

async function streamOnce(
  engine: Engine,
  request: AnswerRequest,
): Promise<Omit<AnswerEnd, 'leftOutTurnCount'>> {
  const { signal, generation, onText } = request;
  const messages = await buildMessages(request.turns, request.systemPrompt, request.toImageUrl);
  const stream = await engine.chat.completions.create(
    { ...generation, messages, stream: true, stream_options: { include_usage: true } },
    { signal },
  );
  let finish: FinishReason | null = null;
  let usage: Usage | null = null;
  let completionId: string | null = null;
  for await (const chunk of stream) {
    signal.throwIfAborted();
    const [choice] = chunk.choices;
    const text = choice?.delta.content ?? '';
    if (text !== '') onText(text);
    finish = choice?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
    completionId = chunk.id;
  }
  // An engine may end the stream of an aborted call instead of throwing.
  signal.throwIfAborted();
  if (finish === null) {
    throw new AutoglmError('internal', 'The engine ended its answer without saying why.', {
      cure: 'Ask again.',
    });
  }
  return { finish, usage, completionId };
}
