import { describe, expect, it } from 'vitest';
import { AutoglmError } from '../base/errors.ts';
import type { Engine } from '../engine/engine.ts';
import { streamAnswer } from './answer-stream.ts';
import type { AssistantTurn, Turn } from './conversation.ts';
import { createScriptedEngine } from './scripted-engine.test-support.ts';

const ANSWER: AssistantTurn = {
  id: '',
  parentId: null,
  createdAt: 0,
  role: 'assistant',
  text: '',
  finish: 'stop',
  fault: null,
  thinkingMs: null,
  figures: null,
  leftOutTurnCount: 0,
};

const turns: readonly Turn[] = ['a', 'b', 'c', 'd', 'e'].map((text, index) =>
  index % 2 === 0
    ? { id: text, parentId: null, createdAt: 0, role: 'user', text, images: [], currentApp: null }
    : { ...ANSWER, id: text, text },
);

const request = (onText: (text: string) => void = () => {}) => ({
  turns,
  systemPrompt: 'Be brief.',
  generation: { temperature: 0 },
  toImageUrl: async () => '',
  signal: new AbortController().signal,
  onText,
});

/** Refuses prompts of more than `most` messages, as a short context does. */
function withContextOf(most: number, engine: Engine): Engine {
  const { create } = engine.chat.completions;
  const refusing = async (...[asked, options]: Parameters<typeof create>) => {
    if (asked.messages.length > most) throw new AutoglmError('prompt-too-long', 'Too long.');
    return create(asked, options);
  };
  return { ...engine, chat: { completions: { create: refusing as unknown as typeof create } } };
}

describe('streamAnswer', () => {
  it('gives the text piece by piece, and the figures at the end', async () => {
    let text = '';
    const engine = createScriptedEngine({ answers: ['Hello there.'], prefillMs: 0, tokenMs: 0 });
    const end = await streamAnswer(
      engine,
      request((piece) => (text += piece)),
    );
    expect(text).toBe('Hello there.');
    expect(end).toMatchObject({ finish: 'stop', leftOutTurnCount: 0, usage: { prompt_tokens: 229 } });
  });

  it('leaves out the oldest turns until the prompt fits, and says how many', async () => {
    const engine = createScriptedEngine({ answers: ['x'], prefillMs: 0, tokenMs: 0 });
    const end = await streamAnswer(withContextOf(2, engine), request());
    expect(end.leftOutTurnCount).toBe(4);
    expect(engine.requests[0]?.messages.map(({ content }) => content)).toEqual(['Be brief.', 'e']);
  });

  it('reports a turn that does not fit by itself', async () => {
    const engine = createScriptedEngine({ answers: ['x'] });
    await expect(streamAnswer(withContextOf(1, engine), request())).rejects.toMatchObject({
      code: 'prompt-too-long',
    });
  });

  it('ends with the AbortError when it is stopped', async () => {
    const abort = new AbortController();
    const engine = createScriptedEngine({ answers: ['x y z'], prefillMs: 0, tokenMs: 50 });
    const stopped = streamAnswer(engine, { ...request(() => abort.abort()), signal: abort.signal });
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
  });
});
