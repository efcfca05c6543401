import { toPixels } from '../agent/parse-action.ts';
import type { AgentAction, ScreenPoint } from '../agent/parse-action.ts';
import type { IconName } from './icons.ts';
import type { Localizer } from './strings/localizer.ts';

/** What is drawn over the screenshot. Points are 0..999 of its width and height. */
export type ScreenMark =
  | { readonly kind: 'tap' | 'double-tap' | 'long-press'; readonly point: ScreenPoint }
  | { readonly kind: 'swipe'; readonly start: ScreenPoint; readonly end: ScreenPoint }
  | { readonly kind: 'label'; readonly icon: IconName; readonly text: string };

/** An action in words and as a mark. */
export interface ActionView {
  readonly icon: IconName;
  readonly title: string;
  /** Typed text, app, coordinates in pixels; empty without any. */
  readonly detail: string;
  /** What the user is asked or told, such as the reason of a payment; empty without any. */
  readonly message: string;
  readonly mark: ScreenMark | null;
}

/** Size of the screenshot that an action refers to, in pixels. */
export interface ScreenSize {
  readonly width: number;
  readonly height: number;
}

/** How an action is shown. Without a screenshot there are no pixels to name and nothing to mark. */
export function viewAction(action: AgentAction, words: Localizer, screen: ScreenSize | null): ActionView {
  const { icon, title, detail = '', message = '', mark = null } = describe(action, words, screen);
  return { icon, title, detail, message, mark: screen === null ? null : mark };
}

type Description = Pick<ActionView, 'icon' | 'title'> & Partial<ActionView>;

function describe(action: AgentAction, words: Localizer, screen: ScreenSize | null): Description {
  const at = (point: ScreenPoint) => formatPoint(point, words, screen);
  const quote = (text: string) => words.say('quoted', { text });
  const label = (icon: IconName, text: string): ScreenMark => ({ kind: 'label', icon, text });
  switch (action.kind) {
    case 'tap':
      return {
        icon: 'tap',
        title: words.say('tap'),
        detail: at(action.point),
        message: action.message ?? '',
        mark: { kind: 'tap', point: action.point },
      };
    case 'double-tap':
    case 'long-press':
      return {
        icon: 'tap',
        title: words.say(action.kind === 'double-tap' ? 'doubleTap' : 'longPress'),
        detail: at(action.point),
        mark: { kind: action.kind, point: action.point },
      };
    case 'swipe':
      return {
        icon: 'swipe',
        title: words.say(swipeDirection(action.start, action.end)),
        detail: words.say('fromTo', { from: at(action.start), to: at(action.end) }),
        mark: { kind: 'swipe', start: action.start, end: action.end },
      };
    case 'type':
      return {
        icon: 'keyboard',
        title: words.say('type'),
        detail: quote(action.text),
        mark: label('keyboard', action.text),
      };
    case 'launch':
      return {
        icon: 'launch',
        title: words.say('launch', { app: action.app }),
        mark: label('launch', action.app),
      };
    case 'back':
    case 'home':
      return {
        icon: action.kind,
        title: words.say(action.kind),
        mark: label(action.kind, words.say(action.kind)),
      };
    case 'wait': {
      const title = words.say('wait', { time: words.seconds(action.seconds * 1000) });
      return { icon: 'clock', title, mark: label('clock', title) };
    }
    case 'take-over':
      return { icon: 'hand', title: words.say('takeOver'), message: action.message };
    case 'interact':
      return { icon: 'hand', title: words.say('interact') };
    case 'note':
      return { icon: 'note', title: words.say('note'), message: action.message };
    case 'call-api':
      return { icon: 'note', title: words.say('callApi'), message: action.instruction };
    case 'finish':
      return { icon: 'check', title: words.say('finished') };
    case 'invalid':
      return {
        icon: 'warning',
        title: words.say('invalidAction'),
        detail: `${action.name}: ${action.reason}`,
      };
  }
}

function formatPoint(point: ScreenPoint, words: Localizer, screen: ScreenSize | null): string {
  if (screen === null) return words.say('point', { x: point[0], y: point[1] });
  const [x, y] = toPixels(point, screen.width, screen.height);
  return words.say('pixel', { x, y });
}

function swipeDirection(start: ScreenPoint, end: ScreenPoint) {
  const [dx, dy] = [end[0] - start[0], end[1] - start[1]];
  if (Math.abs(dx) > Math.abs(dy)) return dx < 0 ? 'swipeLeft' : 'swipeRight';
  return dy < 0 ? 'swipeUp' : 'swipeDown';
}
