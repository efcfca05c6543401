import { describe, expect, it } from 'vitest';
import { describeResult, isFatal, requireSuccess } from './cuda-result.ts';

describe('results of the CUDA driver', () => {
  it.each([
    [700, 'illegal address in a kernel', true],
    [719, 'a kernel failed', true],
    [214, 'an uncorrectable error of the memory', true],
    [701, 'a kernel asks for too many resources', false],
    [720, 'too many co-operating blocks', false],
    [2, 'out of memory', false],
    [555, 'error', false],
  ])('%i is "%s", and ends the context: %s', (result, words, isEnd) => {
    expect(describeResult(result)).toBe(`${words} (${result})`);
    expect(isFatal(result)).toBe(isEnd);
    const told = { code: isEnd ? 'device-lost' : 'gpu-validation', value: result };
    expect(() => requireSuccess(result, 'launch it')).toThrow(expect.objectContaining(told) as Error);
    expect(() => requireSuccess(result, 'launch it')).toThrow(`Cannot launch it: ${words} (${result}).`);
  });

  it('lets success pass', () => {
    expect(() => requireSuccess(0, 'launch it')).not.toThrow();
  });
});
