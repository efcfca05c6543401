import type { Engine } from '../engine/engine.ts';
import type { PrefillRequest } from '../engine/prefill.ts';
import { actionOf } from './answer-summary.ts';
import type { GenerationSettings } from './answer-stream.ts';
import { buildHistory, findTaskStart } from './build-messages.ts';
import type { Turn } from './conversation.ts';

/** What the next request is known by. */
export interface KnownTurns {
  /** Shown turns up to the newest answer; none at the beginning. */
  readonly turns: readonly Turn[];
  readonly systemPrompt: string;
  readonly generation: GenerationSettings;
  /** Id of the completion that the newest answer is. */
  readonly completionId: string | null;
}

/**
 * Lets an engine compute what is certain of the next request, while the phone acts or the user types. Nobody waits for
 * it, and its faults are the next answer's to meet.
 */
export async function prefillNext(engine: Engine, known: KnownTurns, signal: AbortSignal): Promise<void> {
  const request = toPrefillRequest(known);
  if (request === null) return;
  await engine.prefill?.(request, { signal }).catch(() => {});
}

/**
 * The next request as far as it is known; null where that is not far. Behind an action the next screen comes, and the
 * picture of this one is dropped. Behind another answer a question about the same picture may come, which then stays.
 */
export function toPrefillRequest(known: KnownTurns): PrefillRequest | null {
  const { turns, systemPrompt, completionId } = known;
  const { tools, tool_choice, parallel_tool_calls } = known.generation;
  const newest = turns.at(-1);
  if (newest !== undefined && (newest.role === 'user' || newest.finish !== 'stop')) return null;
  const action = newest === undefined ? null : actionOf(newest);
  const hasPicture = turns
    .slice(findTaskStart(turns))
    .some((turn) => turn.role === 'user' && turn.images.length > 0);
  const isActing = action !== null && action.kind !== 'finish';
  if (hasPicture && !isActing) return null;
  const messages = buildHistory(turns, systemPrompt);
  if (messages.length === 0) return null;
  return {
    messages,
    ...(tools && { tools, tool_choice, parallel_tool_calls }),
    ...(hasPicture && { next: 'image' }),
    ...(completionId !== null && { replaces: completionId }),
  };
}
