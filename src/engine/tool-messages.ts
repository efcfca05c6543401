import type { AssistantMessage, ChatMessage, TextPart, ToolMessage } from './openai.ts';
import { requestFault } from './request-fault.ts';
import { CALL_ARGUMENTS, CALL_BEGIN, CALL_END, type ToolPlan } from './tool-request.ts';

/**
 * A conversation as the chat template takes it: plain texts of system, user and assistant. GLM-4.1V's template knows
 * neither tools nor their results, so functions are described in the system message, calls stand in the assistant's
 * text and results in a user turn, in the form that Hermes and Qwen models made common:
 *
 *     <tool_call>
 *     {"name": "get_weather", "arguments": {"city": "Berlin"}}
 *     </tool_call>
 *     <tool_response>
 *     {"degrees": 21}
 *     </tool_response>
 */
export function toPlainMessages(
  messages: readonly ChatMessage[],
  plan: ToolPlan | undefined,
): readonly ChatMessage[] {
  requireKnownCalls(messages);
  const plain = joinResponses(messages).map((message) =>
    message.role === 'assistant' ? toPlainAnswer(message) : message,
  );
  return plan ? addToSystem(plain, describeTools(plan)) : plain;
}

/** Every result must belong to a call before it. @throws AutoglmError `request-invalid` */
function requireKnownCalls(messages: readonly ChatMessage[]): void {
  const known = new Set<string>();
  messages.forEach((message, index) => {
    if (message.role === 'assistant') for (const { id } of message.tool_calls ?? []) known.add(id);
    if (message.role !== 'tool' || known.has(message.tool_call_id)) return;
    throw requestFault(
      `messages[${index}].tool_call_id`,
      message.tool_call_id === undefined ? 'missing' : 'value',
      message.tool_call_id,
      'the id of a tool call in an assistant message before it',
    );
  });
}

/** Results that follow each other become one user turn. */
function joinResponses(messages: readonly ChatMessage[]): Exclude<ChatMessage, ToolMessage>[] {
  const joined: Exclude<ChatMessage, ToolMessage>[] = [];
  let responses: string[] = [];
  const flush = (): void => {
    if (responses.length > 0) joined.push({ role: 'user', content: responses.join('\n') });
    responses = [];
  };
  for (const message of messages) {
    if (message.role === 'tool') {
      responses.push(`<tool_response>\n${toText(message.content)}\n</tool_response>`);
    } else {
      flush();
      joined.push(message);
    }
  }
  flush();
  return joined;
}

function toPlainAnswer(message: AssistantMessage): ChatMessage {
  const { content, tool_calls: calls = [], reasoning_content: thinking } = message;
  const texts = [
    `${thinking ? `<think>${thinking}</think>` : ''}${toText(content)}`,
    ...calls.map(
      ({ function: { name, arguments: text } }) =>
        `${CALL_BEGIN}${JSON.stringify(name)}${CALL_ARGUMENTS}${text}${CALL_END}`,
    ),
  ];
  return { role: 'assistant', content: texts.filter((text) => text !== '').join('\n') };
}

function toText(content: string | readonly TextPart[] | null | undefined): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map(({ text }) => text).join('');
}

function describeTools({ tools, callable, mode, parallel }: ToolPlan): string {
  const lines = tools.map((tool) => JSON.stringify({ type: 'function', function: tool.function }));
  return `# Tools

These functions exist, one JSON Schema a line:
<tools>
${lines.join('\n')}
</tools>

To call one, write its name and arguments as JSON between tags:
<tool_call>
{"name": "<name>", "arguments": {<arguments>}}
</tool_call>

${describeMode(mode, parallel, callable.length === 1 ? callable[0]?.function.name : undefined)}`;
}

function describeMode(mode: ToolPlan['mode'], parallel: boolean, only: string | undefined): string {
  if (mode === 'none') return 'Do not call a function in this answer.';
  const many = parallel ? 'one or more functions, each between tags of its own' : 'one function';
  if (mode === 'auto') return `Call ${many}, where that helps to answer; otherwise answer in words.`;
  return only === undefined ? `Answer by calling ${many}.` : `Answer by calling ${only}.`;
}

/** Functions are told where the conversation's own system message ends, or in one of their own. */
function addToSystem(messages: readonly ChatMessage[], text: string): readonly ChatMessage[] {
  const [first, ...rest] = messages;
  if (first?.role !== 'system' && first?.role !== 'developer') {
    return [{ role: 'system', content: text }, ...messages];
  }
  return [{ ...first, content: `${toText(first.content)}\n\n${text}` }, ...rest];
}
