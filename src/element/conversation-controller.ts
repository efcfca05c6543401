import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { AutoglmError, isAbortError, toError } from '../base/errors.ts';
import type { Engine } from '../engine/engine.ts';
import type { Usage } from '../engine/openai.ts';
import { streamAnswer } from './answer-stream.ts';
import type { AnswerEnd, GenerationSettings } from './answer-stream.ts';
import type { Draft } from './composer-events.ts';
import {
  addTurn,
  chooseBranch,
  createConversation,
  createId,
  findTurn,
  removeTurn,
  shownTurns,
  turnsBefore,
} from './conversation.ts';
import type { AssistantTurn, Conversation, Turn, TurnFigures, UserTurn } from './conversation.ts';
import { toDataUrl } from './image-files.ts';
import { LiveReply } from './live-reply.ts';
import { prefillNext } from './prefill-next.ts';

/** What the conversation needs from its element. */
export interface ConversationContext {
  readonly systemPrompt: string;
  readonly generation: GenerationSettings;
  /** Runs the task with a loaded engine when its turn has come; loads one where needed. */
  withEngine<T>(task: (engine: Engine) => Promise<T>, signal: AbortSignal): Promise<T>;
}

/** Told what happens, in order. */
export interface ConversationListener {
  /** The conversation is another object: to be rendered and kept. */
  onChange(conversation: Conversation): void;
  onTurn(turn: Turn): void;
  onText(turnId: string, text: string): void;
  onFault(error: AutoglmError): void;
}

/** A greedy answer would be the same again; asked for once more, it may differ. */
const REGENERATE_TEMPERATURE = 0.7;

/** An answer that is being written. */
interface AnswerRun {
  readonly live: LiveReply;
  readonly parentId: string;
  readonly abort: AbortController;
}

/** Holds the shown conversation and writes one answer at a time into it. */
export class ConversationController implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #context: ConversationContext;
  readonly #listener: ConversationListener;
  #conversation: Conversation = createConversation();
  #shown: readonly Turn[] = [];
  #run: AnswerRun | null = null;
  /** Ends what is computed of the next request. */
  #prefill = new AbortController();

  constructor(host: ReactiveControllerHost, context: ConversationContext, listener: ConversationListener) {
    this.#host = host;
    this.#context = context;
    this.#listener = listener;
    host.addController(this);
  }

  hostConnected(): void {}

  get conversation(): Conversation {
    return this.#conversation;
  }

  /** The turns of the shown branch. */
  get shown(): readonly Turn[] {
    return this.#shown;
  }

  /** The answer that is being written. */
  get live(): LiveReply | null {
    return this.#run?.live ?? null;
  }

  /** Shows another conversation; the answer that is being written is stopped and kept in the old one. */
  replace(conversation: Conversation): void {
    this.#interrupt();
    this.#set(conversation);
  }

  /**
   * Adds the user's turn and answers it.
   *
   * @throws AutoglmError `engine-busy` while an answer is being written.
   */
  send(draft: Draft): Promise<AssistantTurn> {
    this.#mustBeIdle();
    return this.#sendAfter(this.#shown.at(-1)?.id ?? null, draft);
  }

  /** Sends a changed text as a branch beside the old turn. */
  edit(turnId: string, text: string): Promise<AssistantTurn> {
    this.#interrupt();
    const turn = this.#mustFind(turnId, 'user');
    return this.#sendAfter(turn.parentId, { text, images: turn.images, currentApp: turn.currentApp });
  }

  /** Answers the same turn again, as a branch beside the old answer. */
  regenerate(turnId: string): Promise<AssistantTurn> {
    this.#interrupt();
    const { parentId } = this.#mustFind(turnId, 'assistant');
    const parent = this.#mustFind(parentId ?? '', 'user');
    return this.#answer(parent, { temperature: REGENERATE_TEMPERATURE });
  }

  /** Sets the title; empty takes the first text again. */
  rename(title: string): void {
    this.#set({ ...this.#conversation, title: title === '' ? null : title });
  }

  remove(turnId: string): void {
    this.#interrupt();
    this.#set(removeTurn(this.#conversation, turnId));
  }

  showBranch(turnId: string): void {
    this.#interrupt();
    this.#set(chooseBranch(this.#conversation, turnId));
  }

  /** Lets a new engine compute the system prompt, with which whatever is asked begins. */
  begin(engine: Engine): void {
    this.#prefillNext(engine, [], null);
  }

  /** Stops the answer, and what is computed of a next one; what has come is kept. */
  stop(): void {
    this.#prefill.abort();
    this.#run?.abort.abort();
  }

  #sendAfter(parentId: string | null, draft: Draft): Promise<AssistantTurn> {
    const turn: UserTurn = { id: createId(), parentId, createdAt: Date.now(), role: 'user', ...draft };
    this.#set(addTurn(this.#conversation, turn));
    this.#listener.onTurn(turn);
    return this.#answer(turn, {});
  }

  async #answer(parent: UserTurn, preset: GenerationSettings): Promise<AssistantTurn> {
    const live = new LiveReply(createId(), performance.now());
    const run = { live, parentId: parent.id, abort: new AbortController() };
    this.#run = run;
    this.#prefill.abort();
    // A regenerated answer is shown in place of the old one while it grows.
    this.#shown = [...turnsBefore(this.#conversation, parent.id), parent];
    this.#host.requestUpdate();
    const turns = this.#shown;
    let prefill = (): void => {};
    const turn = await this.#write(run, turns, preset, (engine, { completionId }) => {
      prefill = () => this.#prefillNext(engine, this.#shown, completionId);
    });
    if (this.#run !== run) return turn;
    this.#finish(turn);
    prefill();
    return turn;
  }

  #prefillNext(engine: Engine, turns: readonly Turn[], completionId: string | null): void {
    if (this.#run !== null) return;
    this.#prefill.abort();
    this.#prefill = new AbortController();
    const { systemPrompt, generation } = this.#context;
    void prefillNext(engine, { turns, systemPrompt, generation, completionId }, this.#prefill.signal);
  }

  /** Ends the answer now, with what has come, because something else takes its place. */
  #interrupt(): void {
    const run = this.#run;
    if (run === null) return;
    run.abort.abort();
    this.#finish(toTurn(run, { finish: 'abort' }));
  }

  #finish(turn: AssistantTurn): void {
    this.#run = null;
    this.#set(addTurn(this.#conversation, turn));
    this.#listener.onTurn(turn);
  }

  async #write(
    run: AnswerRun,
    turns: readonly Turn[],
    preset: GenerationSettings,
    onEnd: (engine: Engine, end: AnswerEnd) => void,
  ): Promise<AssistantTurn> {
    const { live, parentId } = run;
    const { signal } = run.abort;
    const { systemPrompt, generation } = this.#context;
    const onText = (text: string) => {
      live.append(text, performance.now());
      this.#listener.onText(live.turnId, text);
    };
    const request = { turns, systemPrompt, signal, onText, toImageUrl: toDataUrl };
    const finished = { live, parentId };
    try {
      const end = await this.#context.withEngine(async (engine) => {
        live.begin(performance.now());
        const settings = { temperature: 0, ...preset, ...generation };
        const whole = await streamAnswer(engine, { ...request, generation: settings });
        onEnd(engine, whole);
        return whole;
      }, signal);
      return toTurn(finished, end);
    } catch (thrown) {
      if (signal.aborted || isAbortError(thrown)) return toTurn(finished, { finish: 'abort' });
      const error = toError(thrown);
      if (!(error instanceof AutoglmError)) throw error;
      this.#listener.onFault(error);
      return toTurn(finished, { finish: 'fault', fault: { code: error.code, message: error.message } });
    }
  }

  #set(conversation: Conversation): void {
    this.#conversation = conversation;
    this.#shown = shownTurns(conversation);
    this.#host.requestUpdate();
    this.#listener.onChange(conversation);
  }

  #mustBeIdle(): void {
    if (this.#run === null) return;
    throw new AutoglmError('engine-busy', 'An answer is still being written.', {
      cure: 'Wait for it, or call stop() first.',
    });
  }

  #mustFind<Role extends Turn['role']>(id: string, role: Role): Extract<Turn, { role: Role }> {
    const turn = findTurn(this.#conversation, id);
    if (turn?.role === role) return turn as Extract<Turn, { role: Role }>;
    throw new AutoglmError('message-invalid', `There is no ${role} turn "${id}".`, { value: id });
  }
}

type TurnEnd = Pick<AssistantTurn, 'finish'> &
  Partial<Omit<AnswerEnd, 'finish'>> &
  Partial<Pick<AssistantTurn, 'fault'>>;

function toTurn(from: { readonly live: LiveReply; readonly parentId: string }, end: TurnEnd): AssistantTurn {
  const { live, parentId } = from;
  const now = performance.now();
  return {
    id: live.turnId,
    parentId,
    createdAt: Date.now(),
    role: 'assistant',
    text: live.text,
    finish: end.finish,
    fault: end.fault ?? null,
    thinkingMs: live.thinkingMs(now),
    figures: toFigures(live, end.usage ?? null, now),
    leftOutTurnCount: end.leftOutTurnCount ?? 0,
  };
}

/** The engine's own figures where it gives them; what was seen from here otherwise. */
function toFigures(live: LiveReply, usage: Usage | null, now: number): TurnFigures | null {
  if (usage === null && live.tokenCount === 0) return null;
  return {
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? live.tokenCount,
    timeToFirstTokenMs: usage?.extra?.timeToFirstTokenMs ?? live.timeToFirstTokenMs ?? 0,
    tokensPerSecond: usage?.extra?.decodeTokensPerSecond ?? live.tokensPerSecond(now),
  };
}
