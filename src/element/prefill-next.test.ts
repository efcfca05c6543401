import { describe, expect, it } from 'vitest';
import type { AssistantTurn, Turn, UserTurn } from './conversation.ts';
import { toPrefillRequest } from './prefill-next.ts';

const TAP = '<think>Maps is there.</think><answer>do(action="Tap", element=[139,95])</answer>';

function user(text: string, hasImage: boolean): UserTurn {
  const image = {
    id: 'i',
    name: 'a.png',
    blob: new Blob([]),
    width: 280,
    height: 560,
    detail: 'high',
  } as const;
  const images = hasImage ? [image] : [];
  return {
    id: text,
    parentId: null,
    createdAt: 0,
    role: 'user',
    text,
    images,
    currentApp: hasImage ? 'Maps' : null,
  };
}

function assistant(text: string, finish: AssistantTurn['finish'] = 'stop'): AssistantTurn {
  const figures = { fault: null, thinkingMs: null, figures: null, leftOutTurnCount: 0 };
  return { id: text, parentId: null, createdAt: 0, role: 'assistant', text, finish, ...figures };
}

const prefillOf = (turns: readonly Turn[], systemPrompt = 'Be brief.') =>
  toPrefillRequest({ turns, systemPrompt, generation: {}, completionId: turns.length === 0 ? null : 'c' });

describe('toPrefillRequest', () => {
  it('knows the system prompt before anything is said', () => {
    expect(prefillOf([])).toEqual({ messages: [{ role: 'system', content: 'Be brief.' }] });
    expect(prefillOf([], '')).toBeNull();
  });

  it('knows behind an action that the next screen comes, without the picture of this one', () => {
    expect(prefillOf([user('Open Maps', true), assistant(TAP)], '')).toEqual({
      messages: [
        { role: 'user', content: 'Open Maps\n\n{"current_app": "Maps"}' },
        {
          role: 'assistant',
          content: TAP.replace('<think>', '<think><think>').replace('</think>', '</think><answer></think>'),
        },
      ],
      next: 'image',
      replaces: 'c',
    });
  });

  it('knows the history of a talk without pictures', () => {
    const request = prefillOf([user('Hello', false), assistant('Hi.')]);
    expect(request).toMatchObject({ replaces: 'c' });
    expect(request?.messages).toHaveLength(3);
    expect(request?.next).toBeUndefined();
  });

  it.each([
    ['a picture stays for the next question', [user('What is it?', true), assistant('A map.')]],
    [
      'a task is done',
      [user('Open Maps', true), assistant('<think>.</think><answer>finish(message="Done.")</answer>')],
    ],
    ['an answer was stopped', [user('Hello', false), assistant('Hi', 'abort')]],
    ['an answer is still to come', [user('Hello', false)]],
  ])('knows too little where %s', (_, turns) => {
    expect(prefillOf(turns)).toBeNull();
  });
});
