/**
 * The modules that the package offers to browsers, below `src` and without `.ts`: each is an entry of
 * `package.json`'s `exports`, which `check-package.mjs` compares with this list.
 */
export const PACKAGE_ENTRIES = [
  'index',
  'engine/index',
  'agent/index',
  'engine/web-llm/index',
  'engine/ai-sdk/index',
  'engine/prompt-api/index',
];
