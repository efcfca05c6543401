/** The examples of the interfaces' pages, as their readers see them. */
import { readFileSync } from 'node:fs';

export interface Example {
  /** Of the page, such as `web-llm`. */
  readonly name: string;
  readonly code: string;
  /** Runs on the embedded model beside the page. */
  readonly runs: boolean;
}

const PAGES = {
  engine: 'README.md',
  'web-llm': 'web-llm/README.md',
  'ai-sdk': 'ai-sdk/README.md',
  'prompt-api': 'prompt-api/README.md',
};

/** All fenced blocks of JavaScript; those that say `run` are complete programs. */
export function readExamples(): Example[] {
  return Object.entries(PAGES).flatMap(([page, path]) => {
    const text = readFileSync(new URL(path, import.meta.url), 'utf8');
    return [...text.matchAll(/^```js( run)?\n(.*?)^```$/gms)].map(([, run, code = ''], index) => ({
      name: `${page}-${index + 1}`,
      code,
      runs: run !== undefined,
    }));
  });
}
