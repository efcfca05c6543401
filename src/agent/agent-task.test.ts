import { describe, expect, it } from 'vitest';
import type { ChatCompletions } from '../engine/engine.ts';
import type { ChatCompletionRequest } from '../engine/openai.ts';
import { NO_PREFILL, type PrefillRequest } from '../engine/prefill.ts';
import { AgentTask } from './agent-task.ts';

const TAP = '<think>Maps is there.</think><answer>do(action="Tap", element=[139,95])</answer>';
const DONE = '<think>Done.</think><answer>finish(message="Maps is open.")</answer>';
const SCREEN = { imageUrl: 'data:image/png;base64,AA', currentApp: 'Home' };

/** Gives the answers in order; after them it fails. */
function createEngine(answers: readonly string[]) {
  const requests: ChatCompletionRequest[] = [];
  const prefills: { readonly request: PrefillRequest; readonly signal: AbortSignal | undefined }[] = [];
  const create = async (request: ChatCompletionRequest) => {
    const content = answers[requests.length];
    requests.push(request);
    if (content === undefined) throw new Error('No answer is left.');
    return { id: `c${requests.length}`, choices: [{ message: { content } }] };
  };
  return {
    requests,
    prefills,
    chat: { completions: { create: create as unknown as ChatCompletions['create'] } },
    prefill: async (request: PrefillRequest, { signal }: { readonly signal?: AbortSignal } = {}) => {
      prefills.push({ request, signal });
      return NO_PREFILL;
    },
  };
}

describe('AgentTask', () => {
  it('tells the engine after each step how the next one begins', async () => {
    const engine = createEngine([TAP, TAP, DONE]);
    const task = new AgentTask(engine, { task: 'Open Maps' });
    const first = await task.step(SCREEN);
    expect(first.action).toEqual({ kind: 'tap', point: [139, 95] });
    expect(engine.prefills[0]?.request).toEqual({ messages: task.messages, next: 'image', replaces: 'c1' });
    expect(engine.prefills[0]?.signal?.aborted).toBe(false);

    await task.step({ ...SCREEN, currentApp: 'Maps' });
    // Whatever is not done by then is the step's own.
    expect(engine.prefills[0]?.signal?.aborted).toBe(true);
    const { messages } = engine.requests[1]!;
    expect(messages.slice(0, -1)).toEqual(engine.prefills[0]?.request.messages);
    expect(JSON.stringify(messages.slice(0, -1))).not.toContain('image');
    expect(messages.at(-1)).toMatchObject({ content: [{ type: 'image_url' }, { type: 'text' }] });
    expect(engine.prefills[1]?.request.replaces).toBe('c2');
  });

  it('computes nothing ahead when the task is done, or where the engine cannot', async () => {
    const engine = createEngine([DONE]);
    expect((await new AgentTask(engine, { task: 'Open Maps' }).step(SCREEN)).action.kind).toBe('finish');
    expect(engine.prefills).toEqual([]);
    const { chat } = createEngine([TAP]);
    expect((await new AgentTask({ chat }, { task: 'Open Maps' }).step(SCREEN)).action.kind).toBe('tap');
  });

  it('is as it was after a step that fails', async () => {
    const engine = createEngine([]);
    const task = new AgentTask(engine, { task: 'Open Maps', systemPrompt: 'Be brief.' });
    await expect(task.step(SCREEN)).rejects.toThrow('No answer is left.');
    expect(task.messages).toEqual([{ role: 'system', content: 'Be brief.' }]);
    await expect(task.step(SCREEN)).rejects.toThrow();
    expect(engine.requests[1]).toEqual(engine.requests[0]);
  });
});
