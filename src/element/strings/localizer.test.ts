import { describe, expect, it } from 'vitest';
import { EN } from './en.ts';
import { createLocalizer, onStringsChange, registerStrings } from './localizer.ts';
import { ZH } from './zh.ts';

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).toSorted();

describe('strings', () => {
  it('have the same placeholders in both languages', () => {
    for (const key of Object.keys(EN) as (keyof typeof EN)[]) {
      expect(placeholders(ZH[key]), key).toEqual(placeholders(EN[key]));
    }
  });

  it('are all there in Chinese', () => {
    expect(Object.keys(ZH)).toEqual(Object.keys(EN));
  });
});

describe('createLocalizer', () => {
  it.each([
    [['zh-Hans-CN'], 'zh-Hans-CN', '发送'],
    [['xx', 'zh'], 'zh', '发送'],
    [['en-GB'], 'en-GB', 'Send'],
    [[], 'en', 'Send'],
    [['not a tag'], 'en', 'Send'],
  ])('%j speaks %s', (tags, locale, word) => {
    const localizer = createLocalizer(tags);
    expect([localizer.locale, localizer.say('send')]).toEqual([locale, word]);
  });

  it('takes a language that is added at run time, falls back to English, and tells that it changed', () => {
    let changes = 0;
    const stop = onStringsChange(() => changes++);
    registerStrings('he', { send: 'שליחה' });
    stop();
    registerStrings('he', { send: 'שליחה' });
    const hebrew = createLocalizer(['he-IL']);
    expect([hebrew.say('send'), hebrew.say('stop'), hebrew.direction, changes]).toEqual([
      'שליחה',
      'Stop',
      'rtl',
      1,
    ]);
  });

  it('chooses among the plural forms of a language that is added', () => {
    registerStrings('pl', { tokenCount: '{count} {count?one:token|few:tokeny|other:tokenów}' });
    const polish = createLocalizer(['pl']);
    expect([1, 3, 5].map((count) => polish.say('tokenCount', { count }))).toEqual([
      '1 token',
      '3 tokeny',
      '5 tokenów',
    ]);
  });

  it('formats sizes and times', () => {
    const en = createLocalizer(['en']);
    expect(en.bytes(5_900_000_000)).toBe('5.9 GB');
    expect(en.bytes(5_412_345)).toBe('5.4 MB');
    expect(en.seconds(1234)).toBe('1.2 s');
    expect(en.duration(84_000)).toBe('1 min 24 sec');
    expect(en.say('tokenCount', { count: 1 })).toBe('1 token');
    expect(en.say('tokenCount', { count: 1200 })).toBe('1,200 tokens');
    expect(en.say('contextUse', { used: 2140, limit: 8192 })).toBe('2,140 / 8,192 tokens');
    expect(createLocalizer(['zh']).seconds(400)).toBe('0.4秒');
  });
});
