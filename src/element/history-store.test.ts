import { describe, expect, it } from 'vitest';
import { searchSummaries } from './history-store.ts';

const summary = (title: string, text: string) => ({ id: title, title, updatedAt: 0, text });
const SUMMARIES = [
  summary('Way Home', 'open maps'),
  summary('天气', '今天 晴'),
  summary('Other', 'maps of home'),
];

describe('searchSummaries', () => {
  it.each([
    ['', ['Way Home', '天气', 'Other']],
    ['MAPS', ['Way Home', 'Other']],
    ['home  maps', ['Way Home', 'Other']],
    ['way maps', ['Way Home']],
    ['晴', ['天气']],
    ['nothing', []],
  ])('%j finds %j', (query, titles) => {
    expect(searchSummaries(SUMMARIES, query).map(({ title }) => title)).toEqual(titles);
  });
});
