import type { ChatMessage, ContentPart } from './openai.ts';
import type { NextMessage, PrefillRequest } from './prefill.ts';
import {
  optionalChoice,
  refuseUnknownFields,
  requireArray,
  requireObject,
  requireString,
} from './request-fault.ts';
import { toPlainMessages } from './tool-messages.ts';
import { parseTools } from './tool-request.ts';

/** A checked request, in the engine's own terms. */
export interface PrefillPlan {
  /** What the chat template renders. */
  readonly messages: readonly ChatMessage[];
  readonly next: NextMessage;
  readonly replaces: string | undefined;
}

const FIELDS: ReadonlySet<string> = new Set([
  'messages',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'next',
  'replaces',
]);

/** Checks a request. @throws AutoglmError `request-invalid` */
export function parsePrefillRequest(request: PrefillRequest): PrefillPlan {
  const fields = requireObject('body', request);
  refuseUnknownFields(fields, FIELDS);
  requireArray('messages', request.messages);
  return {
    messages: toPlainMessages(request.messages, parseTools(request)),
    next: optionalChoice('next', request.next, ['any', 'image']),
    replaces: request.replaces === undefined ? undefined : requireString('replaces', request.replaces),
  };
}

/** Any picture: only its place in a prompt counts. */
const PICTURE: ContentPart = { type: 'image_url', image_url: { url: 'data:image/png;base64,' } };

/** Messages that could come next, of every kind: what is the same in the prompts of all does not depend on which it is. */
export function sampleNextMessages(next: NextMessage): readonly ChatMessage[] {
  const withPicture: ContentPart[][] = [[PICTURE], [PICTURE, { type: 'text', text: 'a' }]];
  const contents = next === 'image' ? withPicture : ['a', ...withPicture];
  return contents.map((content) => ({ role: 'user', content }));
}
