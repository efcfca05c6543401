import type { ChatMessage } from './openai.ts';

/**
 * What happens when a conversation outgrows the context window: `error` refuses the next message with
 * `prompt-too-long`, `drop-oldest` forgets the oldest turns but keeps the system prompt, and a function summarises the
 * turns that are forgotten; what it gives is put behind the system prompt.
 */
export type ContextShift = 'error' | 'drop-oldest' | ((forgotten: readonly ChatMessage[]) => Promise<string>);

/** How much must fit. */
export interface ShiftLimits {
  readonly count: (messages: readonly ChatMessage[]) => Promise<number>;
  /** Tokens that the messages may take. */
  readonly most: number;
}

/** Forgets turns until the messages fit, or only the last turn is left. */
export async function shiftContext(
  messages: readonly ChatMessage[],
  shift: ContextShift,
  { count, most }: ShiftLimits,
): Promise<readonly ChatMessage[]> {
  if (shift === 'error') return messages;
  const { system, turns } = splitTurns(messages);
  let dropped = 0;
  const rest = (): ChatMessage[] => [...system, ...turns.slice(dropped).flat()];
  while (dropped < turns.length - 1 && (await count(rest())) > most) dropped++;
  if (dropped === 0 || shift === 'drop-oldest') return rest();
  const content = await shift(turns.slice(0, dropped).flat());
  return [...system, { role: 'system', content }, ...turns.slice(dropped).flat()];
}

/** System messages of the beginning, and the turns: each a user's message with all that answers it. */
export function splitTurns(messages: readonly ChatMessage[]): {
  readonly system: readonly ChatMessage[];
  readonly turns: readonly (readonly ChatMessage[])[];
} {
  const isSystem = ({ role }: ChatMessage): boolean => role === 'system' || role === 'developer';
  const first = messages.findIndex((message) => !isSystem(message));
  const system = first === -1 ? messages : messages.slice(0, first);
  const turns: ChatMessage[][] = [];
  for (const message of messages.slice(system.length)) {
    if (message.role === 'user' || turns.length === 0) turns.push([message]);
    else turns.at(-1)?.push(message);
  }
  return { system, turns };
}
