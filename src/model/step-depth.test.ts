import { describe, expect, it } from 'vitest';
import { StepDepth } from './step-depth.ts';

/** A depth that has seen steps of `stepMs`. */
function after(stepMs: number, { steps = 64 } = {}): StepDepth {
  const depth = new StepDepth();
  for (let step = 0; step <= steps; step++) depth.note(1000 + step * stepMs);
  return depth;
}

describe('StepDepth', () => {
  it('starts with few steps', () => {
    expect(new StepDepth().most).toBe(4);
    expect(after(2.7, { steps: 0 }).most).toBe(4);
  });

  it('keeps 40 ms of work before a fast device, at most 32 steps', () => {
    expect(after(2.7).most).toBe(15);
    expect(after(1).most).toBe(32);
    expect(after(5.9).most).toBe(7);
  });

  it('keeps few steps before a slow one, which are in vain when an answer ends', () => {
    expect(after(30).most).toBe(4);
    expect(after(400).most).toBe(4);
  });

  it('follows a device that results arrive from in pairs', () => {
    const depth = new StepDepth();
    for (let step = 0; step < 64; step++) depth.note(Math.floor(step / 2) * 40);
    expect(depth.most).toBe(4);
  });

  it('keeps as much before the device as the host has been away', () => {
    const depth = after(2.7);
    const back = 1000 + 64 * 2.7 + 55;
    depth.note(back);
    // Everything that was ready meanwhile arrives at once.
    for (let step = 0; step < 19; step++) depth.note(back + step * 0.05);
    for (let step = 1; step <= 64; step++) depth.note(back + step * 2.7);
    expect(depth.most).toBeGreaterThan(55 / 2.7);
    expect(depth.most).toBeLessThan(30);
    for (let step = 65; step <= 1000; step++) depth.note(back + step * 2.7);
    expect(depth.most).toBe(15);
  });

  it('has as many before it at once when the host comes back', () => {
    const depth = after(2.7);
    depth.note(1000 + 64 * 2.7 + 55);
    expect(depth.most).toBeGreaterThanOrEqual(15);
  });

  it('keeps few slow steps before the device after a sleep', () => {
    const depth = after(30);
    const awake = 1000 + 64 * 30 + 3_600_000;
    for (let step = 0; step < 512; step++) depth.note(awake + step * 30);
    expect(depth.most).toBe(4);
  });

  it('does not take a pause for a step', () => {
    const depth = after(2.7);
    depth.interrupt();
    depth.note(60_000);
    depth.note(60_002.7);
    expect(depth.most).toBe(15);
  });
});
