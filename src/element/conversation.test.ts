import { describe, expect, it } from 'vitest';
import {
  addTurn,
  branchPositions,
  chooseBranch,
  createConversation,
  removeTurn,
  shownTurns,
  titleOf,
  turnsBefore,
} from './conversation.ts';
import type { AssistantTurn, Conversation, UserTurn } from './conversation.ts';

function user(id: string, parentId: string | null, text = id): UserTurn {
  return { id, parentId, createdAt: 5, role: 'user', text, images: [], currentApp: null };
}

function assistant(id: string, parentId: string): AssistantTurn {
  return {
    id,
    parentId,
    createdAt: 6,
    role: 'assistant',
    text: id,
    finish: 'stop',
    fault: null,
    thinkingMs: null,
    figures: null,
    leftOutTurnCount: 0,
  };
}

function build(...turns: readonly (UserTurn | AssistantTurn)[]): Conversation {
  return turns.reduce(addTurn, createConversation(0));
}

const ids = (conversation: Conversation) => shownTurns(conversation).map(({ id }) => id);

describe('Conversation', () => {
  const regenerated = build(
    user('u1', null),
    assistant('a1', 'u1'),
    user('u2', 'a1'),
    assistant('a2', 'u2'),
    assistant('a1b', 'u1'),
  );

  it('shows the branch that was added last', () => {
    expect(ids(regenerated)).toEqual(['u1', 'a1b']);
  });

  it('returns to an older branch with all that followed it', () => {
    expect(ids(chooseBranch(regenerated, 'a1'))).toEqual(['u1', 'a1', 'u2', 'a2']);
  });

  it('tells where a turn stands among its branches', () => {
    const positions = branchPositions(regenerated);
    expect(positions.get('a1')).toEqual({ index: 0, count: 2, previousId: null, nextId: 'a1b' });
    expect(positions.get('a1b')).toEqual({ index: 1, count: 2, previousId: 'a1', nextId: null });
    expect(positions.has('u2')).toBe(false);
  });

  it('branches the first turn as well', () => {
    const edited = addTurn(build(user('u1', null), assistant('a1', 'u1')), user('u1b', null));
    expect(ids(edited)).toEqual(['u1b']);
    expect(ids(chooseBranch(edited, 'u1'))).toEqual(['u1', 'a1']);
  });

  it('removes a turn with what follows it and shows the sibling', () => {
    const rest = removeTurn(chooseBranch(regenerated, 'a1'), 'a1');
    expect(rest.turns.map(({ id }) => id)).toEqual(['u1', 'a1b']);
    expect(ids(rest)).toEqual(['u1', 'a1b']);
    expect(ids(removeTurn(rest, 'u1'))).toEqual([]);
  });

  it('lists the turns before one on its own branch, also while another is shown', () => {
    expect(turnsBefore(regenerated, 'a2').map(({ id }) => id)).toEqual(['u1', 'a1', 'u2']);
    expect(turnsBefore(regenerated, 'u1')).toEqual([]);
  });

  it('takes the title from the first text, cut at a readable length', () => {
    expect(titleOf(createConversation())).toBe('');
    expect(titleOf(build(user('u1', null, 'Open Maps\nplease')))).toBe('Open Maps');
    expect(titleOf(build(user('u1', null, 'x'.repeat(200))))).toBe(`${'x'.repeat(60)}…`);
    expect(titleOf({ ...regenerated, title: 'Mine' })).toBe('Mine');
  });
});
