import { describe, expect, it } from 'vitest';
import { parseAction } from '../agent/parse-action.ts';
import { viewAction } from './action-view.ts';
import { createLocalizer } from './strings/localizer.ts';

const EN = createLocalizer(['en']);
const SCREEN = { width: 280, height: 560 };

describe('viewAction', () => {
  it.each([
    ['do(action="Tap", element=[623,278])', 'Tap', '174, 155 px', 'tap'],
    ['do(action="Double Tap", element=[500,500])', 'Double tap', '140, 280 px', 'double-tap'],
    ['do(action="Long Press", element=[500,500])', 'Long press', '140, 280 px', 'long-press'],
    ['do(action="Swipe", start=[800,500], end=[200,500])', 'Swipe left', '224, 280 px → 56, 280 px', 'swipe'],
    ['do(action="Swipe", start=[500,700], end=[500,300])', 'Swipe up', '140, 392 px → 140, 168 px', 'swipe'],
    ['do(action="Type", text="say "hi"")', 'Type', '“say "hi"”', 'label'],
    ['do(action="Launch", app="Maps")', 'Launch Maps', '', 'label'],
    ['do(action="Back")', 'Back', '', 'label'],
    ['do(action="Home")', 'Home', '', 'label'],
    ['do(action="Wait", duration="2 seconds")', 'Wait 2 s', '', 'label'],
    ['do(action="Interact")', 'A choice is needed', '', undefined],
    ['do(action="Fly", to="Mars")', 'Unknown action', 'Fly: unknown action', undefined],
    ['finish(message="Done.")', 'Finished', '', undefined],
  ])('%s', (source, title, detail, mark) => {
    const view = viewAction(parseAction(source), EN, SCREEN);
    expect([view.title, view.detail, view.mark?.kind]).toEqual([title, detail, mark]);
  });

  it('says why the user is asked', () => {
    const action = parseAction('do(action="Tap", element=[1,2], message="Important: payment")');
    expect(viewAction(action, EN, SCREEN).message).toBe('Important: payment');
    expect(viewAction(parseAction('do(action="Take_over", message="Log in")'), EN, SCREEN).message).toBe(
      'Log in',
    );
  });

  it('names thousandths and marks nothing without a screenshot', () => {
    const view = viewAction(parseAction('do(action="Tap", element=[623,278])'), EN, null);
    expect([view.detail, view.mark]).toEqual(['623, 278 of 1000', null]);
  });
});
