import { AutoglmError, isAutoglmError } from '../base/errors.ts';
import { parsePythonCall } from './python-call.ts';
import type { PythonLiteral } from './python-call.ts';

/** A place on the screen: x and y in 0..999 of its width and height; `toPixels` maps it. */
export type ScreenPoint = readonly [x: number, y: number];

/** What the model wants done, by `kind`. */
export type AgentAction =
  | { readonly kind: 'launch'; readonly app: string }
  /** With a `message` the user is asked first; a refusal ends the run. */
  | { readonly kind: 'tap'; readonly point: ScreenPoint; readonly message?: string }
  | { readonly kind: 'type'; readonly text: string }
  | { readonly kind: 'swipe'; readonly start: ScreenPoint; readonly end: ScreenPoint }
  | { readonly kind: 'long-press'; readonly point: ScreenPoint }
  | { readonly kind: 'double-tap'; readonly point: ScreenPoint }
  | { readonly kind: 'back' }
  | { readonly kind: 'home' }
  | { readonly kind: 'wait'; readonly seconds: number }
  /** The user has to act (a login, a captcha), then the run goes on. */
  | { readonly kind: 'take-over'; readonly message: string }
  /** The model needs a choice from the user. */
  | { readonly kind: 'interact' }
  | { readonly kind: 'note'; readonly message: string }
  | { readonly kind: 'call-api'; readonly instruction: string }
  /** Ends the run. `unparsed` marks text that is no action: the message is then the text itself. */
  | { readonly kind: 'finish'; readonly message: string; readonly unparsed?: true }
  /** A well-formed `do(...)` that no device can carry out: unknown name, or an argument missing or wrong. */
  | { readonly kind: 'invalid'; readonly name: string; readonly reason: string };

/** How an action is parsed. */
export interface ParseActionOptions {
  /** Throws `action-invalid` where the default gives `unparsed` or `invalid`. */
  readonly strict?: boolean;
}

type Args = Readonly<Record<string, PythonLiteral>>;

const DEFAULT_WAIT_SECONDS = 1;
/** Prompts say 999; models now and then name the far edge itself. */
const MAX_COORDINATE = 1000;

const READERS: Readonly<Record<string, (args: Args) => AgentAction>> = {
  Launch: (args) => ({ kind: 'launch', app: readText(args, 'app') }),
  Tap: readTap,
  Swipe: (args) => ({ kind: 'swipe', start: readPoint(args, 'start'), end: readPoint(args, 'end') }),
  'Long Press': (args) => ({ kind: 'long-press', point: readPoint(args, 'element') }),
  'Double Tap': (args) => ({ kind: 'double-tap', point: readPoint(args, 'element') }),
  Back: () => ({ kind: 'back' }),
  Home: () => ({ kind: 'home' }),
  Wait: (args) => ({ kind: 'wait', seconds: readSeconds(args['duration']) }),
  Take_over: (args) => ({ kind: 'take-over', message: readOptionalText(args, 'message') ?? '' }),
  Interact: () => ({ kind: 'interact' }),
  Note: (args) => ({ kind: 'note', message: readOptionalText(args, 'message') ?? '' }),
  Call_API: (args) => ({ kind: 'call-api', instruction: readOptionalText(args, 'instruction') ?? '' }),
};

/**
 * Reads an action from the text that `parseReply` found, as Open-AutoGLM's handler does: typed text and
 * the finish message are cut out as they stand (they may hold any quotes), other actions are parsed as a
 * call with literal arguments, and text that is none of these ends the run with itself as the message.
 *
 * @throws AutoglmError `action-invalid`, only with `strict`.
 */
export function parseAction(text: string, options: ParseActionOptions = {}): AgentAction {
  const trimmed = text.trim();
  try {
    const action = readAction(trimmed);
    if (action.kind === 'invalid' && options.strict)
      throw invalid(`${action.name}: ${action.reason}`, trimmed);
    return action;
  } catch (error) {
    if (options.strict || !isAutoglmError(error, 'action-invalid')) throw error;
    return { kind: 'finish', message: trimmed, unparsed: true };
  }
}

/** Pixel of a screen point on a screenshot of `width` x `height` pixels: truncated, as the official client. */
export function toPixels(point: ScreenPoint, width: number, height: number): [x: number, y: number] {
  return [Math.trunc((point[0] / 1000) * width), Math.trunc((point[1] / 1000) * height)];
}

function readAction(text: string): AgentAction {
  if (/^do\(action="Type(?:_Name)?"/.test(text)) return readType(text);
  if (text.startsWith('finish')) return { kind: 'finish', message: readFinishMessage(text) };
  if (!text.startsWith('do')) throw invalid('neither do(...) nor finish(...)', text);
  const { name, args } = parsePythonCall(text);
  const action = args['action'];
  if (name !== 'do' || typeof action !== 'string') throw invalid('no do(action="...")', text);
  const read = Object.hasOwn(READERS, action) ? READERS[action] : undefined;
  return read === undefined ? toInvalid(action, 'unknown action') : readArguments(action, args, read);
}

function readArguments(name: string, args: Args, read: (args: Args) => AgentAction): AgentAction {
  try {
    return read(args);
  } catch (error) {
    if (!isAutoglmError(error, 'action-invalid')) throw error;
    return toInvalid(name, String(error.value));
  }
}

function toInvalid(name: string, reason: string): AgentAction {
  return { kind: 'invalid', name, reason };
}

function readType(text: string): AgentAction {
  const at = text.indexOf('text=');
  if (at === -1) throw invalid('Type without text=', text);
  return { kind: 'type', text: unquote(text.slice(at + 'text='.length)) };
}

function readFinishMessage(text: string): string {
  const argument = text.slice('finish'.length).replace(/^\(\s*(?:message=)?/, '');
  return unquote(argument);
}

// Not a literal parser: the model does not escape quotes inside typed text and messages.
function unquote(argument: string): string {
  const quote = /^["']/.exec(argument)?.[0] ?? '';
  const inner = argument.slice(quote.length).replace(/\s*\)$/, '');
  return quote !== '' && inner.endsWith(quote) ? inner.slice(0, -1) : inner;
}

function readTap(args: Args): AgentAction {
  const point = readPoint(args, 'element');
  const message = readOptionalText(args, 'message');
  return message === undefined ? { kind: 'tap', point } : { kind: 'tap', point, message };
}

function readPoint(args: Args, name: string): ScreenPoint {
  const value = args[name];
  const isPoint = Array.isArray(value) && value.length === 2 && value.every(isCoordinate);
  if (!isPoint) throw invalid(`${name} is not [x, y] of 0..${MAX_COORDINATE}`, String(value));
  return value as unknown as ScreenPoint;
}

function isCoordinate(value: PythonLiteral): boolean {
  return typeof value === 'number' && value >= 0 && value <= MAX_COORDINATE;
}

function readText(args: Args, name: string): string {
  const value = readOptionalText(args, name);
  if (value === undefined || value === '') throw invalid(`${name} is missing`, name);
  return value;
}

function readOptionalText(args: Args, name: string): string | undefined {
  const value = args[name];
  return value === undefined || value === null ? undefined : String(value);
}

function readSeconds(value: PythonLiteral | undefined): number {
  const seconds = Number.parseFloat(String(value));
  return seconds >= 0 ? seconds : DEFAULT_WAIT_SECONDS;
}

function invalid(value: string, text: string): AutoglmError {
  return new AutoglmError('action-invalid', `Not an action (${value}): ${text.slice(0, 200)}.`, {
    value,
    limit: 'do(action="...", ...) or finish(message="...")',
    cure: 'Ask the model again.',
  });
}
