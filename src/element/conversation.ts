import type { ErrorCode } from '../base/errors.ts';
import type { FinishReason } from '../engine/openai.ts';

/** A screenshot of a turn. The blob is kept as it was given; the engine resizes its own copy. */
export interface TurnImage {
  readonly id: string;
  readonly blob: Blob;
  readonly name: string;
  /** Pixels of the picture as it is shown, after EXIF orientation. */
  readonly width: number;
  readonly height: number;
  /** `low` is faster and costs fewer tokens; small text may not be readable any more. */
  readonly detail: 'high' | 'low';
}

interface TurnBase {
  readonly id: string;
  /** The turn that this one follows; null for the first. Turns with the same parent are branches. */
  readonly parentId: string | null;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** What the user sent. */
export interface UserTurn extends TurnBase {
  readonly role: 'user';
  readonly text: string;
  readonly images: readonly TurnImage[];
  /** The app that the screenshot shows, in AutoGLM's wording; null in a plain chat. */
  readonly currentApp: string | null;
}

/** Figures of one answer. */
export interface TurnFigures {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly timeToFirstTokenMs: number;
  readonly tokensPerSecond: number;
}

/** Why an answer is not whole. */
export interface TurnFault {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What the model answered. */
export interface AssistantTurn extends TurnBase {
  readonly role: 'assistant';
  /** The raw answer, tags included. */
  readonly text: string;
  /** `abort` and `fault` mark an answer that is not whole. */
  readonly finish: FinishReason | 'fault';
  readonly fault: TurnFault | null;
  /** How long the reasoning took; null without one. */
  readonly thinkingMs: number | null;
  readonly figures: TurnFigures | null;
  /** Earlier turns that did not fit the context and were left out of this request. */
  readonly leftOutTurnCount: number;
}

/** A turn of a conversation. */
export type Turn = UserTurn | AssistantTurn;

/**
 * A conversation as a tree: editing or regenerating adds a branch beside the old turn, and nothing is lost.
 * Immutable; every change returns a new object, so that a render compares by identity.
 */
export interface Conversation {
  readonly id: string;
  /** Given by the user; null while the first turn's text stands in for it. */
  readonly title: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** All turns of all branches, parents before children. */
  readonly turns: readonly Turn[];
  /** Which child of a turn is shown, by parent id (`''` for the first turns). Default: the newest. */
  readonly chosen: Readonly<Record<string, string>>;
}

/** Where a turn stands among its branches. */
export interface BranchPosition {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  readonly previousId: string | null;
  readonly nextId: string | null;
}

/** An empty conversation with a fresh id. */
export function createConversation(now: number = Date.now()): Conversation {
  return { id: createId(), title: null, createdAt: now, updatedAt: now, turns: [], chosen: {} };
}

/** An id that is unique for ever; also where the page is not a secure context, which has no `randomUUID`. */
export function createId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Adds a turn at its parent and shows its branch. */
export function addTurn(conversation: Conversation, turn: Turn): Conversation {
  return {
    ...conversation,
    updatedAt: Math.max(conversation.updatedAt, turn.createdAt),
    turns: [...conversation.turns, turn],
    chosen: { ...conversation.chosen, [turn.parentId ?? '']: turn.id },
  };
}

/** Removes a turn with all that follows it. A sibling branch, where there is one, is shown instead. */
export function removeTurn(conversation: Conversation, id: string): Conversation {
  const removed = new Set([id]);
  // Parents come before children, so one pass finds the whole subtree.
  for (const turn of conversation.turns) {
    if (turn.parentId !== null && removed.has(turn.parentId)) removed.add(turn.id);
  }
  const chosen = Object.entries(conversation.chosen).filter(
    ([parentId, childId]) => !removed.has(parentId) && !removed.has(childId),
  );
  return {
    ...conversation,
    turns: conversation.turns.filter((turn) => !removed.has(turn.id)),
    chosen: Object.fromEntries(chosen),
  };
}

/** Shows the branch that begins with this turn. */
export function chooseBranch(conversation: Conversation, id: string): Conversation {
  const turn = findTurn(conversation, id);
  if (turn === undefined) return conversation;
  return { ...conversation, chosen: { ...conversation.chosen, [turn.parentId ?? '']: id } };
}

/** The turn with this id. */
export function findTurn(conversation: Conversation, id: string): Turn | undefined {
  return conversation.turns.find((turn) => turn.id === id);
}

/** The turns that are shown, from the first to the last. */
export function shownTurns(conversation: Conversation): readonly Turn[] {
  const children = groupByParent(conversation.turns);
  const path: Turn[] = [];
  let parentId = '';
  for (;;) {
    const branches = children.get(parentId);
    if (branches === undefined) return path;
    const chosenId = conversation.chosen[parentId];
    const turn = branches.find(({ id }) => id === chosenId) ?? branches.at(-1);
    if (turn === undefined) return path;
    path.push(turn);
    parentId = turn.id;
  }
}

/** The turns before this one on its own branch, from the first; this one is not among them. */
export function turnsBefore(conversation: Conversation, id: string): readonly Turn[] {
  const byId = new Map(conversation.turns.map((turn) => [turn.id, turn]));
  const path: Turn[] = [];
  let parentId = byId.get(id)?.parentId ?? null;
  while (parentId !== null) {
    const parent = byId.get(parentId);
    if (parent === undefined) break;
    path.push(parent);
    parentId = parent.parentId;
  }
  return path.toReversed();
}

/** The branch position of every turn that has siblings. */
export function branchPositions(conversation: Conversation): ReadonlyMap<string, BranchPosition> {
  const positions = new Map<string, BranchPosition>();
  for (const branches of groupByParent(conversation.turns).values()) {
    if (branches.length < 2) continue;
    branches.forEach(({ id }, index) =>
      positions.set(id, {
        index,
        count: branches.length,
        previousId: branches[index - 1]?.id ?? null,
        nextId: branches[index + 1]?.id ?? null,
      }),
    );
  }
  return positions;
}

/** The title for lists: the given one, else the start of the first text; empty while there is none. */
export function titleOf(conversation: Conversation): string {
  if (conversation.title !== null) return conversation.title;
  const first = shownTurns(conversation).find((turn) => turn.role === 'user' && turn.text.trim() !== '');
  const line = first?.text.trim().split('\n', 1)[0] ?? '';
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH).trimEnd()}…` : line;
}

const TITLE_LENGTH = 60;

function groupByParent(turns: readonly Turn[]): Map<string, Turn[]> {
  const groups = new Map<string, Turn[]>();
  for (const turn of turns) {
    const key = turn.parentId ?? '';
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [turn]);
    else group.push(turn);
  }
  return groups;
}

/** All images of all branches. */
export function imagesOf(conversation: Conversation): readonly TurnImage[] {
  return conversation.turns.flatMap((turn) => (turn.role === 'user' ? turn.images : []));
}
