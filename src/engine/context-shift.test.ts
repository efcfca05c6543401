import { describe, expect, it } from 'vitest';
import { shiftContext, splitTurns, type ContextShift } from './context-shift.ts';
import type { ChatMessage } from './openai.ts';

const SYSTEM: ChatMessage = { role: 'system', content: 's' };
const turn = (name: string): ChatMessage[] => [
  { role: 'user', content: `${name}?` },
  { role: 'assistant', content: `${name}!` },
];
const LAST: ChatMessage = { role: 'user', content: 'last?' };
const HISTORY = [SYSTEM, ...turn('a'), ...turn('b'), ...turn('c'), LAST];
/** One token a message. */
const count = async (messages: readonly ChatMessage[]): Promise<number> => messages.length;
const textOf = (messages: readonly ChatMessage[]): string =>
  messages.map(({ content }) => String(content)).join(' ');
const shiftTo = async (most: number, shift: ContextShift): Promise<string> =>
  textOf(await shiftContext(HISTORY, shift, { count, most }));

describe('shiftContext', () => {
  it.each([
    [8, 's a? a! b? b! c? c! last?'],
    [7, 's b? b! c? c! last?'],
    [6, 's b? b! c? c! last?'],
    [5, 's c? c! last?'],
    [3, 's last?'],
    [1, 's last?'],
  ])('forgets the oldest turns until %d tokens suffice, and never the last one', async (most, expected) => {
    expect(await shiftTo(most, 'drop-oldest')).toBe(expected);
  });

  it('leaves everything where a full context is an error', async () => {
    expect(await shiftTo(1, 'error')).toBe(textOf(HISTORY));
  });

  it('puts a summary of what is forgotten behind the system prompt', async () => {
    const summarise = async (forgotten: readonly ChatMessage[]): Promise<string> => `[${textOf(forgotten)}]`;
    expect(await shiftTo(5, summarise)).toBe('s [a? a! b? b!] c? c! last?');
    expect(await shiftTo(8, summarise)).toBe(textOf(HISTORY));
  });
});

describe('splitTurns', () => {
  it('keeps a user message with all that answers it', () => {
    const tool: ChatMessage = { role: 'tool', content: 'r', tool_call_id: '1' };
    const { system, turns } = splitTurns([SYSTEM, ...turn('a'), tool, ...turn('b')]);
    expect(system).toEqual([SYSTEM]);
    expect(turns.map(textOf)).toEqual(['a? a! r', 'b? b!']);
    expect(splitTurns([SYSTEM])).toEqual({ system: [SYSTEM], turns: [] });
    expect(splitTurns(turn('a')).system).toEqual([]);
  });
});
