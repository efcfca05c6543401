import { describe, expect, it } from 'vitest';
import { Speculation } from './speculation.ts';

/** Feeds measured times, and counts on how many of 200 chances it then guesses. */
function countGuesses({
  stepMs,
  guessMs,
  tokens,
}: {
  stepMs: number;
  guessMs: number;
  tokens: number;
}): number {
  const speculation = new Speculation('auto');
  let count = 0;
  for (let chance = 0; chance < 200; chance++) {
    speculation.noteStep(stepMs);
    if (!speculation.shouldGuess()) continue;
    count++;
    speculation.noteGuess(guessMs, tokens);
  }
  return count;
}

describe('Speculation', () => {
  it('guesses always or never where it is told so', () => {
    expect(new Speculation('on').shouldGuess()).toBe(true);
    expect(new Speculation('off').shouldGuess()).toBe(false);
  });

  it('goes on where it gives more tokens a second', () => {
    expect(countGuesses({ stepMs: 3, guessMs: 4, tokens: 2.5 })).toBe(200);
  });

  it('gives up where it gives fewer, and tries again now and then', () => {
    const count = countGuesses({ stepMs: 3, guessMs: 12, tokens: 2.5 });
    expect(count).toBeGreaterThan(4);
    expect(count).toBeLessThan(12);
  });

  it('gives up where the guesses are wrong', () => {
    expect(countGuesses({ stepMs: 3, guessMs: 4, tokens: 1 })).toBeLessThan(20);
  });

  it('comes back when guesses turn right', () => {
    const speculation = new Speculation('auto');
    let isRight = false;
    const guessed: boolean[] = [];
    for (let chance = 0; chance < 600; chance++) {
      isRight = chance > 200;
      speculation.noteStep(3);
      const guesses = speculation.shouldGuess();
      if (guesses) speculation.noteGuess(4, isRight ? 4 : 1);
      guessed.push(guesses);
    }
    expect(guessed.slice(100, 200).filter(Boolean).length).toBeLessThan(5);
    expect(guessed.slice(-50).every(Boolean)).toBe(true);
  });
});
