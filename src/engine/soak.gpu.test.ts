/**
 * Random requests, in parallel, aborted at random moments: every answer is right or typed as aborted, and nothing is
 * left behind. `AUTOGLM_SOAK_REQUESTS` and `AUTOGLM_SOAK_SEED` run more of them, and others.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalEngine } from './local-engine.ts';
import { openSoakEngine } from './soak-engine.test-support.ts';
import { findLeaks, soak } from './soak.test-support.ts';

const REQUESTS = Number(process.env['AUTOGLM_SOAK_REQUESTS'] ?? 150);
const SEED = Number(process.env['AUTOGLM_SOAK_SEED'] ?? 1);

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openSoakEngine();
});
afterAll(() => engine?.unload());

describe('soak', () => {
  it(
    `answers ${REQUESTS} random requests rightly, and leaves nothing behind`,
    async () => {
      const { device } = engine.model;
      const report = await soak(engine, { count: REQUESTS, seed: SEED, parallel: 8, poolSize: 24 });
      if (REQUESTS > 1000) console.info(JSON.stringify(report));
      expect(report.faults).toEqual([]);
      const { complete, aborted, left, interrupted } = report;
      expect(complete + aborted + left + interrupted).toBe(REQUESTS);
      expect(complete).toBeGreaterThan(REQUESTS / 3);
      expect(aborted).toBeGreaterThan(0);
      expect(left).toBeGreaterThan(0);
      expect(report.cachedTokens).toBeGreaterThan(REQUESTS);
      expect(findLeaks(report)).toEqual([]);
      await engine.unload();
      expect(device.allocatedBytes).toBe(0);
    },
    REQUESTS * 1000 + 60_000,
  );
});
