import { describe, expect, it } from 'vitest';
import { AGENT_CONTEXT } from './bench.ts';
import { benchContext, describeReport, type BenchRequest, type ReportRow } from './bench-report.ts';

const REQUEST: BenchRequest = {
  model: 'synthetic:9b',
  promptTokens: 512,
  outputTokens: 256,
  batches: [1, 4],
  cachedTokens: [],
  repeats: 3,
  vision: false,
  profile: false,
};

const ROW: ReportRow = {
  device: 'webgpu',
  adapter: 'nvidia',
  model: 'synthetic:9b',
  quant: 'q4f16_1',
  loadMs: 2345,
  promptTokens: 512,
  outputTokens: 256,
  batch: 1,
  timeToFirstTokenMs: 448,
  firstRunTimeToFirstTokenMs: 900,
  prefillTokensPerSecond: 1195,
  decodeTokensPerSecond: 283,
  weightBytesPerToken: 4_938_006_528,
  effectiveGBps: 1397.5,
  dispatchesPerToken: 324,
  hostMsPerStep: 1.5,
  peakGpuBytes: 6e9,
  shareOfCopy: 0.4698,
};

describe('benchContext', () => {
  it('holds the longest of what is measured, and the answer', () => {
    expect(benchContext(REQUEST)).toBe(512 + 256 + 1);
    expect(benchContext({ ...REQUEST, cachedTokens: [4096, 25000] })).toBe(25000 + 256 + 1);
    expect(benchContext({ ...REQUEST, vision: true })).toBe(AGENT_CONTEXT);
  });
});

describe('describeReport', () => {
  it('says for each row what was measured, and leaves out what was not', () => {
    const behind = { ...ROW, cachedTokens: 25000, decodeTokensPerSecond: 211 };
    const text = describeReport({ rows: [ROW, behind] });
    expect(text.split('\n')).toEqual([
      'synthetic:9b on nvidia, webgpu, loaded in 2.3 s',
      'batch 1, prompt 512: 283.0 tok/s decode, 1398 GB/s (0.47 of copy), 324 dispatches in 1.50 host ms a step, ' +
        '1195 tok/s prefill, first token after 448 ms (900 ms the first time)',
      'batch 1, behind 25000 tokens: 211.0 tok/s decode, 1398 GB/s (0.47 of copy), ' +
        '324 dispatches in 1.50 host ms a step',
      '',
    ]);
  });

  it('gives the second step of an agent as a share of the first, with its texts computed before and without', () => {
    const agent = {
      screenshotToFirstTokenMs: 2000,
      firstStepMs: 2400,
      secondStepMs: 1680,
      prefillAheadMs: 80,
      prefillAheadTokens: 179,
      secondStepAfterPrefillMs: 1560,
    };
    expect(describeReport({ rows: [], agent })).toContain(
      'agent: first step 2400 ms, second 1680 ms (0.70 of the first); with 179 tokens of text computed in 80 ms ' +
        'before its screenshot 1560 ms (0.65 of the first)',
    );
  });
});
