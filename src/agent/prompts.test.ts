/** Turns of the agent's conversation, letter for letter. */
import { describe, expect, it } from 'vitest';
import { parseReply } from './parse-reply.ts';
import {
  buildAssistantTurn,
  buildFirstTurn,
  buildScreenTurn,
  formatScreenInfo,
  removeImages,
} from './prompts.ts';

describe('prompts', () => {
  it("formats the screen info with Python's spacing, without escaping", () => {
    expect(formatScreenInfo({ currentApp: '微信 "W"' })).toBe('{"current_app": "微信 \\"W\\""}');
    expect(formatScreenInfo({ currentApp: 'A', extra: { width: 280, dark: true } })).toBe(
      '{"current_app": "A", "width": 280, "dark": true}',
    );
  });

  it('builds turns with the image before the text', () => {
    expect(buildFirstTurn('打开设置', { currentApp: 'System Home' }, 'blob:a')).toEqual({
      role: 'user',
      content: [
        { type: 'image_url', image_url: { url: 'blob:a' } },
        { type: 'text', text: '打开设置\n\n{"current_app": "System Home"}' },
      ],
    });
    expect(buildFirstTurn('Hi')).toEqual({ role: 'user', content: 'Hi' });
    expect(buildScreenTurn({ currentApp: '设置' }).content).toBe(
      '** Screen Info **\n\n{"current_app": "设置"}',
    );
  });

  it('removes the images of earlier turns and keeps their text', () => {
    const turn = buildScreenTurn({ currentApp: 'A' }, 'blob:a');
    expect(removeImages([turn, { role: 'assistant', content: 'x' }])).toEqual([
      { role: 'user', content: '** Screen Info **\n\n{"current_app": "A"}' },
      { role: 'assistant', content: 'x' },
    ]);
  });

  it('keeps answers as the official client does, with doubled tags, or cleanly', () => {
    const reply = parseReply(
      '<think>游戏在第3行第1列。</think><answer>do(action="Tap", element=[489,957])</answer>',
    );
    expect(buildAssistantTurn(reply).content).toBe(
      '<think><think>游戏在第3行第1列。</think><answer></think><answer>do(action="Tap", element=[489,957])</answer>',
    );
    expect(buildAssistantTurn(reply, 'clean').content).toBe(
      '<think>游戏在第3行第1列。</think><answer>do(action="Tap", element=[489,957])</answer>',
    );
  });
});
