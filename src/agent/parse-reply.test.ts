/** Taking answers apart, finished and half written. */
import { describe, expect, it } from 'vitest';
import { parsePartialReply, parseReply } from './parse-reply.ts';

describe('parseReply', () => {
  it.each([
    [
      'a tagged action',
      '<think>T</think><answer>do(action="Tap", element=[1,2])</answer>',
      {
        thinking: 'T',
        actionText: 'do(action="Tap", element=[1,2])',
        rawThinking: '<think>T</think><answer>',
      },
    ],
    [
      'the stop token not printed',
      '<think>T</think>\n<answer>do(action="Home")',
      { thinking: 'T', actionText: 'do(action="Home")', rawThinking: '<think>T</think>\n<answer>' },
    ],
    [
      'no tags',
      'Going home. do(action="Home")',
      { thinking: 'Going home.', actionText: 'do(action="Home")', rawThinking: 'Going home.' },
    ],
    [
      'finish before do, wherever they stand',
      'do(action="Back") finish(message="x")',
      { thinking: 'do(action="Back")', actionText: 'finish(message="x")', rawThinking: 'do(action="Back")' },
    ],
    [
      'plain words in <answer>',
      '<think>T</think><answer>Hi.</answer>',
      { thinking: 'T', actionText: 'Hi.', rawThinking: 'T' },
    ],
    ['plain words', ' Hi. ', { thinking: '', actionText: 'Hi.', rawThinking: '' }],
    ['nothing', '', { thinking: '', actionText: '', rawThinking: '' }],
  ])('finds thinking and action with %s', (_name, text, reply) => {
    expect(parseReply(text)).toEqual(reply);
  });
});

describe('parsePartialReply', () => {
  const texts = [
    '<think>Maps is in row 2 < 3.</think><answer>do(action="Tap", element=[623,278])</answer>',
    '<think>打开</think>\n<answer>finish(message="好")</answer>',
    '<think>a</think><answer>I only know phone screens.</answer>',
    'Hello, I finish a < b.',
    'Then do(action="Home")',
  ];
  it.each(texts)('shows no tag and ends like parseReply: %s', (text) => {
    for (let length = 0; length <= text.length; length++) {
      const { thinking, answer } = parsePartialReply(text.slice(0, length));
      expect(`${thinking} ${answer}`).not.toMatch(/<\/?(?:t(?:h|$)|an)|<\//);
    }
    const { thinking, actionText } = parseReply(text);
    expect(parsePartialReply(text)).toEqual({ thinking, answer: actionText, isAnswering: true });
  });

  it('thinks until the answer begins', () => {
    expect(parsePartialReply('')).toEqual({ thinking: '', answer: '', isAnswering: false });
    expect(parsePartialReply('<thi')).toEqual({ thinking: '', answer: '', isAnswering: false });
    expect(parsePartialReply('<think>Maps is')).toEqual({
      thinking: 'Maps is',
      answer: '',
      isAnswering: false,
    });
    expect(parsePartialReply('<think>Maps</think><ans').isAnswering).toBe(false);
    expect(parsePartialReply('<think>Maps</think><answer>').isAnswering).toBe(true);
    expect(parsePartialReply('<think>Maps</think><answer>do(action="T')).toEqual({
      thinking: 'Maps',
      answer: 'do(action="T',
      isAnswering: true,
    });
  });
});
