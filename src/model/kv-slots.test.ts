import { describe, expect, it } from 'vitest';
import { countCommon, KvSlots, type KvSlot } from './kv-slots.ts';

/** Gives the slot that a sequence gets and lets it fill that with its keys, as the scheduler does. */
function run(slots: KvSlots, keys: readonly number[]): { slot: number; source: number; count: number } {
  const grant = slots.acquire(keys);
  if (!grant) throw new Error('no slot is free');
  const { slot, source, count } = grant;
  fill(slots, slot, [...source.keys.slice(0, count), ...keys.slice(count)]);
  slots.release(slot);
  return { slot: slot.index, source: source.index, count };
}

function fill(slots: KvSlots, slot: KvSlot, keys: readonly number[]): void {
  slots.truncate(slot, 0);
  slot.keys.push(...keys);
}

describe('KvSlots', () => {
  it('leaves at least one token to compute, so that there are logits', () => {
    const slots = new KvSlots(1);
    expect(run(slots, [1, 2, 3]).count).toBe(0);
    expect(run(slots, [1, 2, 3]).count).toBe(2);
    expect(run(slots, [1]).count).toBe(0);
  });

  it('goes on in the slot with the longest common beginning', () => {
    const slots = new KvSlots(3);
    run(slots, [1, 2, 3, 4]);
    run(slots, [5, 6, 7, 8]);
    expect(run(slots, [1, 2, 3, 4, 9])).toEqual({ slot: 0, source: 0, count: 4 });
    expect(run(slots, [5, 6, 7, 0])).toEqual({ slot: 1, source: 1, count: 3 });
  });

  it('branches into another slot when most of a conversation would be lost', () => {
    const slots = new KvSlots(2);
    run(slots, [1, 2, 3, 4, 5, 6]);
    expect(run(slots, [1, 2, 9, 9])).toEqual({ slot: 1, source: 0, count: 2 });
    expect(slots.all.map(({ keys }) => keys)).toEqual([
      [1, 2, 3, 4, 5, 6],
      [1, 2, 9, 9],
    ]);
  });

  it('overwrites the least recently used slot, once no empty one is left', () => {
    const slots = new KvSlots(3);
    const first = [10, 11];
    for (const keys of [first, [20, 21], [30, 31]]) run(slots, keys);
    run(slots, [...first, 12]);
    expect(run(slots, [40, 41]).slot).toBe(1);
    expect(run(slots, [50, 51]).slot).toBe(2);
    expect(run(slots, [...first, 12, 13])).toEqual({ slot: 0, source: 0, count: 3 });
  });

  it('gives no slot twice, but lets others begin with what a busy one holds', () => {
    const slots = new KvSlots(2);
    const running = slots.acquire([1, 2, 3, 4])!;
    fill(slots, running.slot, [1, 2, 3, 4]);
    const second = slots.acquire([1, 2, 3, 4, 5])!;
    expect([second.slot.index, second.source.index, second.count]).toEqual([1, 0, 4]);
    expect(slots.acquire([1])).toBeUndefined();
    slots.release(running.slot);
    expect(slots.acquire([1])?.slot.index).toBe(0);
  });

  it('prefers a free slot that holds the same', () => {
    const slots = new KvSlots(2);
    const keys = [1, 2, 3];
    const running = slots.acquire(keys)!;
    fill(slots, running.slot, keys);
    const second = slots.acquire(keys)!;
    fill(slots, second.slot, keys);
    slots.release(second.slot);
    expect(slots.match([...keys, 4], 3)).toEqual({ source: second.slot, count: 3 });
  });

  it('has room for what nobody waits for where it costs nobody anything', () => {
    const slots = new KvSlots(2);
    run(slots, [1, 2, 3, 4, 5, 6]);
    // Another conversation with the same beginning: an empty slot, and a copy.
    const empty = slots.acquireSpare([1, 2, 9], undefined)!;
    expect([empty.slot.index, empty.source.index, empty.count]).toEqual([1, 0, 2]);
    fill(slots, empty.slot, [1, 2, 9]);
    slots.release(empty.slot);
    // It goes on where a slot ends.
    expect(slots.acquireSpare([1, 2, 9, 8], undefined)?.slot.index).toBe(1);
    slots.release(slots.all[1]);
    // Neither goes on where a slot ends, and none is empty.
    expect(slots.acquireSpare([1, 2, 3, 9], undefined)).toBeUndefined();
    expect(slots.acquireSpare([7], undefined)).toBeUndefined();
    // A slot that is in use is nobody's to give.
    slots.hold(slots.all[1]);
    expect(slots.acquireSpare([1, 2, 9, 8], undefined)).toBeUndefined();
  });

  it('overwrites the conversation that is spent, behind what both have in common', () => {
    const slots = new KvSlots(3);
    run(slots, [1, 2, 5, 6, 7]);
    run(slots, [1, 2, 3, 4, 5]);
    run(slots, [7, 8]);
    const grant = slots.acquireSpare([1, 2, 9, 9], [1, 2, 3, 4])!;
    expect([grant.slot.index, grant.source.index, grant.count]).toEqual([1, 1, 2]);
    slots.release(grant.slot);
    // One whose slot another conversation has taken since is not there any more.
    expect(slots.acquireSpare([1, 2, 9, 9], [1, 2, 4])).toBeUndefined();
  });

  it('forgets what was overwritten', () => {
    const slots = new KvSlots(1);
    run(slots, [1, 2, 3, 4]);
    slots.truncate(slots.all[0], 2);
    expect(slots.match([1, 2, 3, 4], 3).count).toBe(2);
    slots.truncate(slots.all[0], 10);
    expect(slots.match([1, 2, 3, 4], 3).count).toBe(2);
  });
});

describe('countCommon', () => {
  it.each([
    [[], [1], 0],
    [[1, 2], [1, 2, 3], 2],
    [[1, 2, 3], [1, 4, 3], 1],
    [[2], [1], 0],
  ])('counts how far %j and %j agree', (a, b, count) => {
    expect(countCommon(a, b)).toBe(count);
  });
});
