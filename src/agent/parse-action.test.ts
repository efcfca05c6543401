/** Actions from the model's text: every action of the protocol, Python literals, text that is no action. */
import { describe, expect, it } from 'vitest';
import { parseAction, toPixels } from './parse-action.ts';
import type { AgentAction } from './parse-action.ts';
import { parsePythonCall } from './python-call.ts';

describe('parseAction', () => {
  const rows: [string, AgentAction][] = [
    ['do(action="Launch", app="微信")', { kind: 'launch', app: '微信' }],
    ['do(action="Tap", element=[500,416])', { kind: 'tap', point: [500, 416] }],
    ['do(action="Tap", element=[5, 4], message="pay?")', { kind: 'tap', point: [5, 4], message: 'pay?' }],
    ['do(action="Type", text="say "hi", (ok)\n")', { kind: 'type', text: 'say "hi", (ok)\n' }],
    ['do(action="Type_Name", text="a\\b")', { kind: 'type', text: 'a\\b' }],
    ['do(action="Type", text="")', { kind: 'type', text: '' }],
    ['do(action="Swipe", start=[1,2], end=[3,4])', { kind: 'swipe', start: [1, 2], end: [3, 4] }],
    ['do(action="Long Press", element=[1,2])', { kind: 'long-press', point: [1, 2] }],
    ['do(action="Double Tap", element=[1,2])', { kind: 'double-tap', point: [1, 2] }],
    ['do(action="Back")', { kind: 'back' }],
    [' do(action="Home") ', { kind: 'home' }],
    ['do(action="Wait", duration="2.5 seconds")', { kind: 'wait', seconds: 2.5 }],
    ['do(action="Wait", duration="x seconds")', { kind: 'wait', seconds: 1 }],
    ['do(action="Wait")', { kind: 'wait', seconds: 1 }],
    ['do(action="Take_over", message="请登录")', { kind: 'take-over', message: '请登录' }],
    ['do(action="Interact")', { kind: 'interact' }],
    ['do(action="Note", message="True")', { kind: 'note', message: 'True' }],
    ['do(action="Call_API", instruction="sum up")', { kind: 'call-api', instruction: 'sum up' }],
    ['finish(message="It is "done".")', { kind: 'finish', message: 'It is "done".' }],
    ['finish(message="a\nb")', { kind: 'finish', message: 'a\nb' }],
    ["finish(message='a')", { kind: 'finish', message: 'a' }],
    ['finish(message="cut of', { kind: 'finish', message: 'cut of' }],
    ['finish()', { kind: 'finish', message: '' }],
  ];
  it.each(rows)('reads %s', (text, action) => {
    expect(parseAction(text)).toEqual(action);
    expect(parseAction(text, { strict: true })).toEqual(action);
  });

  it.each([
    'Hello.',
    '',
    'do(action="Tap", element=[1,2]',
    'do(action="Tap", element=[1,2]) and more',
    'do(action="Tap", element=open("x"))',
    'do(action=Tap)',
    'do(element=[1,2])',
    'done(action="Tap")',
    'do(action="Type")',
  ])('ends the run with text that is no action: %s', (text) => {
    expect(parseAction(text)).toEqual({ kind: 'finish', message: text, unparsed: true });
    expect(() => parseAction(text, { strict: true })).toThrowError(
      expect.objectContaining({ code: 'action-invalid' }),
    );
  });

  it.each([
    ['do(action="Fly")', 'Fly', /unknown action/],
    ['do(action="constructor")', 'constructor', /unknown action/],
    ['do(action="Tap")', 'Tap', /element is not \[x, y\]/],
    ['do(action="Tap", element=[1])', 'Tap', /element is not \[x, y\]/],
    ['do(action="Tap", element=["1","2"])', 'Tap', /element is not \[x, y\]/],
    ['do(action="Tap", element=[1,1001])', 'Tap', /element is not \[x, y\]/],
    ['do(action="Swipe", start=[1,2])', 'Swipe', /end is not \[x, y\]/],
    ['do(action="Launch", app="")', 'Launch', /app is missing/],
  ])('marks a call that no device can carry out: %s', (text, name, reason) => {
    expect(parseAction(text)).toEqual({ kind: 'invalid', name, reason: expect.stringMatching(reason) });
    expect(() => parseAction(text, { strict: true })).toThrowError(reason);
  });
});

describe('parsePythonCall', () => {
  it('reads every literal', () => {
    const { name, args } = parsePythonCall(
      ` f ( a = 'it\\'s', b="\\u4f60\\x41\\n\\q\\\\", c=-1.5e2, d=[1, [2, "x"],], e=(3,), g=True, h=None, ) `,
    );
    expect(name).toBe('f');
    expect({ ...args }).toEqual({
      a: "it's",
      b: '你A\n\\q\\',
      c: -150,
      d: [1, [2, 'x']],
      e: [3],
      g: true,
      h: null,
    });
  });

  it('keeps raw line breaks of strings and names such as __proto__', () => {
    const { args } = parsePythonCall('f(__proto__="a\nb")');
    expect(args['__proto__']).toBe('a\nb');
    expect(Object.getPrototypeOf(args)).toBeNull();
  });

  it.each([
    'f',
    'f(',
    'f(1)',
    'f(a=)',
    'f(a=1 b=2)',
    'f(a="x)',
    'f(a="\\u12")',
    'f(a=1, a=2)',
    'f(a=[1)',
    'f(a=b)',
    'f(a=1)(b=2)',
    'f(a=1+1)',
    'f(a=1e)',
  ])('refuses %s', (text) => {
    expect(() => parsePythonCall(text)).toThrowError(expect.objectContaining({ code: 'action-invalid' }));
  });

  it('refuses lists nested deep enough to exhaust the stack', () => {
    expect(() => parsePythonCall(`f(a=${'['.repeat(99_999)})`)).toThrowError(/expected at most 16 lists/);
  });
});

describe('toPixels', () => {
  it.each([
    [[0, 0], 1080, 2400, [0, 0]],
    [[999, 999], 1080, 2400, [1078, 2397]],
    [[500, 416], 280, 560, [140, 232]],
  ] as const)('maps %j on %d x %d to %j', (point, width, height, pixels) => {
    expect(toPixels(point, width, height)).toEqual(pixels);
  });
});
