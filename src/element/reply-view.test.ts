import { describe, expect, it } from 'vitest';
import { viewReply } from './reply-view.ts';

const TAP = '<think>Maps is in row 2.</think><answer>do(action="Tap", element=[623,278])</answer>';
const FINISH = '<think>Hello.</think><answer>finish(message="I can **tap**.")</answer>';

describe('viewReply', () => {
  it('shows a tap as an action', () => {
    expect(viewReply(TAP, true)).toEqual({
      thinking: 'Maps is in row 2.',
      isThinking: false,
      prose: '',
      action: { kind: 'tap', point: [623, 278] },
      actionText: 'do(action="Tap", element=[623,278])',
    });
  });

  it('shows the message of a finish as prose', () => {
    expect(viewReply(FINISH, true)).toMatchObject({ prose: 'I can **tap**.', action: { kind: 'finish' } });
  });

  it('never shows half a tag or half a call name at any cut', () => {
    for (const text of [TAP, FINISH, '<think>a</think>Plain *text*.']) {
      for (let length = 0; length < text.length; length++) {
        const { thinking, prose } = viewReply(text.slice(0, length), false);
        expect(`${thinking}|${prose}`).not.toMatch(/<\/?(?:t|a)|finish|do\(/);
      }
    }
  });

  it('is thinking until the answer begins', () => {
    expect(viewReply('<think>Maps', false)).toMatchObject({ thinking: 'Maps', isThinking: true });
    expect(viewReply('<think>Maps</think><answer>do(', false).isThinking).toBe(false);
  });

  it('takes what follows the thinking as the answer where there is no answer tag', () => {
    expect(viewReply('<think>a</think>**b**', true)).toMatchObject({ thinking: 'a', prose: '**b**' });
  });

  it('shows plain text, and a call that no parser understands, as prose', () => {
    expect(viewReply('Hello', true)).toMatchObject({ thinking: '', prose: 'Hello', action: null });
    expect(viewReply('<answer>do(nothing</answer>', true)).toMatchObject({
      prose: 'do(nothing',
      action: null,
    });
  });
});
