/** The class against Chromium's own types of the Prompt API: the type check fails where they drift apart. */
/// <reference types="dom-chromium-ai" />
import { expect, it } from 'vitest';
import { createLanguageModelClass, type LanguageModelClass, type LanguageModelSession } from './index.ts';
import type { PromptInput, PromptOptions, SessionOptions } from './prompt-types.ts';

type Assigned<From extends To, To> = From;
type Session = globalThis.LanguageModel;
/** Members that a page uses; the rest of an event target is the platform's. */
type Members = Exclude<keyof Session, keyof EventTarget | 'oncontextoverflow' | 'onquotaoverflow' | 'clone'>;

// Programs that were written for Chromium's types give these, and get those.
export type Taken = [
  Assigned<LanguageModelPrompt, PromptInput>,
  Assigned<
    LanguageModelPromptOptions['responseConstraint'] & object,
    PromptOptions['responseConstraint'] & object
  >,
  Assigned<keyof LanguageModelCreateOptions, keyof SessionOptions>,
  Assigned<
    NonNullable<LanguageModelCreateOptions['initialPrompts']>,
    NonNullable<SessionOptions['initialPrompts']>
  >,
  Assigned<LanguageModelTool, NonNullable<SessionOptions['tools']>[number]>,
];
export type Given = [
  Assigned<Members, keyof LanguageModelSession>,
  Assigned<LanguageModelSession['prompt'], (input: LanguageModelPrompt) => Promise<string>>,
  Assigned<LanguageModelSession['promptStreaming'], (input: LanguageModelPrompt) => ReadableStream<string>>,
  Assigned<LanguageModelSession['append'], (input: LanguageModelPrompt) => Promise<undefined>>,
  Assigned<LanguageModelSession['destroy'], Session['destroy']>,
  Assigned<
    Pick<LanguageModelSession, 'contextUsage' | 'contextWindow' | 'topK' | 'temperature'>,
    Pick<Session, 'contextUsage' | 'contextWindow' | 'topK' | 'temperature'>
  >,
  Assigned<Awaited<ReturnType<LanguageModelClass['availability']>>, Availability>,
  Assigned<Awaited<ReturnType<LanguageModelClass['params']>>, LanguageModelParams>,
];

it('has every member that Chromium declares', () => {
  const { prototype } = createLanguageModelClass({
    createEngine: () => Promise.reject(new Error('not asked for')),
  });
  const names = [
    'prompt',
    'promptStreaming',
    'append',
    'measureContextUsage',
    'clone',
    'destroy',
    'contextUsage',
    'contextWindow',
    'oncontextoverflow',
    'addEventListener',
  ];
  expect(names.filter((name) => !(name in prototype))).toEqual([]);
});
