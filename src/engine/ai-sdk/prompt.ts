import type {
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4ToolResultPart,
} from '@ai-sdk/provider';
import { AutoglmError } from '../../base/errors.ts';
import type { ChatMessage, ContentPart, ToolCall } from '../openai.ts';

/** The AI SDK's prompt as messages. @throws AutoglmError `message-invalid` for a file that is no image */
export function toMessages(prompt: LanguageModelV4Prompt): ChatMessage[] {
  return prompt.flatMap(toMessage);
}

function toMessage(message: LanguageModelV4Message): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [
        {
          role: 'user',
          content: message.content.map((part) =>
            part.type === 'text' ? { type: 'text', text: part.text } : toImage(part),
          ),
        },
      ];
    case 'assistant':
      return [toAnswer(message)];
    case 'tool':
      return message.content.flatMap((part): ChatMessage[] =>
        part.type === 'tool-result'
          ? [{ role: 'tool', tool_call_id: part.toolCallId, content: toText(part.output) }]
          : [],
      );
  }
}

function toAnswer({ content }: Extract<LanguageModelV4Message, { role: 'assistant' }>): ChatMessage {
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: ToolCall[] = [];
  for (const part of content) {
    if (part.type === 'text') texts.push(part.text);
    if (part.type === 'reasoning') thoughts.push(part.text);
    if (part.type !== 'tool-call') continue;
    const text = typeof part.input === 'string' ? part.input : JSON.stringify(part.input);
    calls.push({ id: part.toolCallId, type: 'function', function: { name: part.toolName, arguments: text } });
  }
  return {
    role: 'assistant',
    content: texts.join(''),
    ...(thoughts.length > 0 && { reasoning_content: thoughts.join('') }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function toImage({ data, mediaType }: LanguageModelV4FilePart): ContentPart {
  if (!mediaType.startsWith('image')) throw unreadable(mediaType, 'an image');
  if (data.type === 'url') return { type: 'image_url', image_url: { url: String(data.url) } };
  if (data.type !== 'data') throw unreadable(data.type, 'data or a URL');
  const base64 = typeof data.data === 'string' ? data.data : toBase64(data.data);
  const type = mediaType === 'image' || mediaType === 'image/*' ? 'image/png' : mediaType;
  return { type: 'image_url', image_url: { url: `data:${type};base64,${base64}` } };
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  // In pieces: an argument list holds only so much.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

function toText(output: LanguageModelV4ToolResultPart['output']): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value);
    case 'execution-denied':
      return output.reason ?? 'The user denied this call.';
    case 'content':
      return output.value.map((part) => (part.type === 'text' ? part.text : '')).join('');
  }
}

function unreadable(value: string, limit: string): AutoglmError {
  return new AutoglmError('message-invalid', `The prompt has a file of the kind "${value}".`, {
    value,
    limit,
    cure: 'Send pictures only.',
  });
}
