import { describe, expect, it } from 'vitest';
import { isCancel, isSubmit } from './keyboard.ts';
import type { KeyPress } from './keyboard.ts';

const press = (over: Partial<KeyPress>): KeyPress => ({
  key: 'Enter',
  shiftKey: false,
  isComposing: false,
  keyCode: 13,
  ...over,
});

describe('keyboard', () => {
  it.each([
    ['Enter', press({}), true],
    ['Shift+Enter', press({ shiftKey: true }), false],
    ['Enter that commits a candidate', press({ isComposing: true }), false],
    ['Enter that commits a candidate in Safari', press({ keyCode: 229 }), false],
    ['a letter', press({ key: 'a', keyCode: 65 }), false],
  ])('%s submits: %#', (_, event, expected) => {
    expect(isSubmit(event)).toBe(expected);
  });

  it.each([
    ['Escape', press({ key: 'Escape', keyCode: 27 }), true],
    ['Escape that closes the candidates', press({ key: 'Escape', isComposing: true }), false],
  ])('%s cancels: %#', (_, event, expected) => {
    expect(isCancel(event)).toBe(expected);
  });
});
