import { describe, expect, it } from 'vitest';
import { buildMessages } from './build-messages.ts';
import type { AssistantTurn, Turn, UserTurn } from './conversation.ts';

const toImageUrl = async (blob: Blob) => `data:${blob.type};${await blob.text()}`;

function user(text: string, imageNames: readonly string[] = [], currentApp: string | null = null): UserTurn {
  const images = imageNames.map((name) => ({
    id: name,
    name,
    blob: new Blob([name], { type: 'image/png' }),
    width: 280,
    height: 560,
    detail: name.endsWith('low') ? ('low' as const) : ('high' as const),
  }));
  return { id: text, parentId: null, createdAt: 0, role: 'user', text, images, currentApp };
}

function assistant(text: string): AssistantTurn {
  return {
    id: text,
    parentId: null,
    createdAt: 0,
    role: 'assistant',
    text,
    finish: 'stop',
    fault: null,
    thinkingMs: null,
    figures: null,
    leftOutTurnCount: 0,
  };
}

const SWIPE = '<think>Not here.</think><answer>do(action="Swipe", start=[800,500], end=[200,500])</answer>';
const image = (name: string) => ({ type: 'image_url', image_url: { url: `data:image/png;${name}` } });
const build = (turns: readonly Turn[], system = '') => buildMessages(turns, system, toImageUrl);

describe('buildMessages', () => {
  it('sends a task as AutoGLM knows it: image, then text and screen info', async () => {
    expect(await build([user('Open Maps', ['a'], 'System Home')], 'Be brief.')).toEqual([
      { role: 'system', content: 'Be brief.' },
      {
        role: 'user',
        content: [image('a'), { type: 'text', text: 'Open Maps\n\n{"current_app": "System Home"}' }],
      },
    ]);
  });

  it('sends a next screen with the earlier pictures removed and the answer kept the official way', async () => {
    const turns = [user('Open Maps', ['a'], 'System Home'), assistant(SWIPE), user('', ['b'], 'System Home')];
    expect(await build(turns)).toEqual([
      { role: 'user', content: 'Open Maps\n\n{"current_app": "System Home"}' },
      {
        role: 'assistant',
        content:
          '<think><think>Not here.</think><answer></think>' +
          '<answer>do(action="Swipe", start=[800,500], end=[200,500])</answer>',
      },
      {
        role: 'user',
        content: [image('b'), { type: 'text', text: '** Screen Info **\n\n{"current_app": "System Home"}' }],
      },
    ]);
  });

  it('begins a new task at a screenshot with a text', async () => {
    const turns = [
      user('Hello'),
      assistant('Hi'),
      user('Open Maps', ['a']),
      assistant(SWIPE),
      user('Tap OK', ['b']),
    ];
    expect(await build(turns)).toEqual([
      { role: 'user', content: [image('b'), { type: 'text', text: 'Tap OK' }] },
    ]);
  });

  it('keeps the newest picture for a question that follows it', async () => {
    const messages = await build([user('Open Maps', ['a']), assistant(SWIPE), user('Why?')]);
    expect(messages.map(({ content }) => typeof content)).toEqual(['object', 'string', 'string']);
    expect(messages[2]).toEqual({ role: 'user', content: 'Why?' });
  });

  it('sends plain text plain, with earlier text turns before it', async () => {
    expect(await build([user('Hello'), assistant('<answer>Hi</answer>'), user('Who are you?')])).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: '<think></think><answer>Hi</answer>' },
      { role: 'user', content: 'Who are you?' },
    ]);
  });

  it('leaves out an answer that failed before its first token', async () => {
    const messages = await build([user('Hello'), assistant(''), user('Hello again')]);
    expect(messages.map(({ role }) => role)).toEqual(['user', 'user']);
  });

  it('says which picture is sent smaller', async () => {
    const [message] = await build([user('Open Maps', ['a-low'])]);
    expect(message?.content?.[0]).toEqual({
      type: 'image_url',
      image_url: { url: 'data:image/png;a-low', detail: 'low' },
    });
  });

  it('sends several pictures of one turn in order', async () => {
    const [message] = await build([user('Compare', ['a', 'b'])]);
    expect(message?.content).toEqual([image('a'), image('b'), { type: 'text', text: 'Compare' }]);
  });
});
