import type { Engine } from '../engine/engine.ts';
import type { ChatCompletion, ChatCompletionRequest, ChatMessage } from '../engine/openai.ts';
import { parseAction, type AgentAction } from './parse-action.ts';
import { parseReply, type Reply } from './parse-reply.ts';
import {
  buildAssistantTurn,
  buildFirstTurn,
  buildScreenTurn,
  removeImages,
  TINY_SYSTEM_PROMPT,
  type HistoryStyle,
  type ScreenInfo,
} from './prompts.ts';

/** What an agent is told. */
export interface AgentTaskOptions {
  /** What the user wants done. */
  readonly task: string;
  /** Default: the embedded model's. */
  readonly systemPrompt?: string | undefined;
  /** Default `official`. */
  readonly historyStyle?: HistoryStyle | undefined;
  /** Fields of every request; greedy by default. */
  readonly request?: Omit<ChatCompletionRequest, 'messages' | 'stream' | 'stream_options' | 'n'> | undefined;
}

/** The phone as it is now. */
export interface AgentScreen extends ScreenInfo {
  /** The screenshot: a data, blob or http(s) URL. */
  readonly imageUrl: string;
}

/** What the model wants done. */
export interface AgentStep {
  readonly action: AgentAction;
  readonly reply: Reply;
  readonly completion: ChatCompletion;
}

/**
 * One task of a phone agent, step by step: the page takes the screenshots and carries the actions out. Meanwhile the
 * engine computes what is certain of the next step's prompt, which is all but the next screenshot and what follows it.
 */
export class AgentTask {
  readonly #engine: Pick<Engine, 'chat' | 'prefill'>;
  readonly #options: AgentTaskOptions;
  #messages: readonly ChatMessage[];
  #isBegun = false;
  #prefill = new AbortController();

  constructor(engine: Pick<Engine, 'chat' | 'prefill'>, options: AgentTaskOptions) {
    this.#engine = engine;
    this.#options = options;
    this.#messages = [{ role: 'system', content: options.systemPrompt ?? TINY_SYSTEM_PROMPT }];
  }

  /** The conversation so far, without pictures. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Asks for the next action. A step that fails or is aborted leaves the task as it was.
   *
   * @throws what the engine throws; AutoglmError `action-invalid` for an answer that cannot be read
   */
  async step(screen: AgentScreen, options: { readonly signal?: AbortSignal } = {}): Promise<AgentStep> {
    this.#prefill.abort();
    const { task, historyStyle, request } = this.#options;
    const { imageUrl, ...info } = screen;
    const turn = this.#isBegun ? buildScreenTurn(info, imageUrl) : buildFirstTurn(task, info, imageUrl);
    const messages = [...this.#messages, turn];
    const completion = await this.#engine.chat.completions.create(
      { temperature: 0, ...request, messages, stream: false },
      options,
    );
    const reply = parseReply(completion.choices[0]?.message.content ?? '');
    const action = parseAction(reply.actionText);
    this.#messages = [...removeImages(messages), buildAssistantTurn(reply, historyStyle)];
    this.#isBegun = true;
    if (action.kind !== 'finish') this.#prefillNext(completion.id);
    return { action, reply, completion };
  }

  /** Nobody waits for it, and its faults are the next step's to meet. */
  #prefillNext(completionId: string): void {
    const { tools, tool_choice, parallel_tool_calls } = this.#options.request ?? {};
    this.#prefill = new AbortController();
    const request = {
      messages: this.#messages,
      next: 'image',
      replaces: completionId,
      ...(tools && { tools, tool_choice, parallel_tool_calls }),
    } as const;
    this.#engine.prefill?.(request, { signal: this.#prefill.signal }).catch(() => {});
  }
}
