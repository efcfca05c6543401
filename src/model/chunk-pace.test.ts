import { describe, expect, it } from 'vitest';
import { ChunkPace } from './chunk-pace.ts';

describe('ChunkPace', () => {
  it('starts with 1,024 tokens and takes what fits two seconds after that', () => {
    const pace = new ChunkPace(4096);
    expect(pace.most()).toBe(1024);
    pace.note(1024, 500);
    expect(pace.most()).toBe(4096);
    pace.note(1024, 1000);
    expect(pace.most()).toBe(2048);
  });

  it('does not cut finer on a slow device, nor exceed the buffers', () => {
    const pace = new ChunkPace(4096);
    pace.note(1024, 9000);
    expect(pace.most()).toBe(1024);
    expect(new ChunkPace(64).most()).toBe(64);
  });

  it('keeps chunks short while others wait, and learns nothing from a few tokens', () => {
    const pace = new ChunkPace(4096);
    pace.note(1024, 200);
    expect(pace.most({ othersWait: true })).toBe(1024);
    pace.note(8, 100);
    expect(pace.most()).toBe(4096);
  });

  it('takes few tokens of a prompt that nobody has asked for yet, at most a quarter of a second of them', () => {
    const pace = new ChunkPace(4096);
    expect(pace.mostAhead()).toBe(128);
    pace.note(1024, 500);
    expect(pace.mostAhead()).toBe(256);
    pace.note(1024, 4000);
    expect(pace.mostAhead()).toBe(64);
    pace.note(1024, 90_000);
    expect(pace.mostAhead()).toBe(32);
    expect(new ChunkPace(64).mostAhead()).toBe(64);
  });
});
