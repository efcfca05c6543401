/** What the records of AutoGLM's models promise, against the planner that loads them. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ASSUMED_GPU } from '../../model/assumed-gpu.ts';
import { describe9B } from '../../model/fit-table.ts';
import { fitModel } from '../../model/model-fit.ts';
import { createNodeFolderSource } from '../../storage/node-folder-source.ts';
import { DEFAULT_CONTEXT_WINDOW } from '../load-model.ts';
import { planSource } from '../plan-model.ts';
import { findRecord, prebuiltAppConfig } from './app-config.ts';

const FOLDER = fileURLToPath(new URL('../../../public/models/autoglm-tiny-q4f16_1', import.meta.url));
/** As `fit-table.ts` has it: a screenshot of 1080x2400. */
const PATCHES = 168 * 74;
/** Smaller changes of the work space need no new record. */
const TOLERANCE = 0.005;

it.each([
  [
    'AutoGLM-Phone-9B-q4f16_1',
    async () =>
      fitModel(describe9B(), { context: DEFAULT_CONTEXT_WINDOW, patchCount: PATCHES }).memory.totalBytes,
  ],
  [
    'autoglm-tiny-q4f16_1',
    async () => (await planSource(createNodeFolderSource(FOLDER), ASSUMED_GPU)).memory.totalBytes,
  ],
])('vram_required_MB of %s is what the planner computes', { timeout: 60_000 }, async (id, plan) => {
  const planned = (await plan()) / 1e6;
  const told = findRecord(id, prebuiltAppConfig).vram_required_MB ?? 0;
  expect(Math.abs(told / planned - 1), `planned ${planned.toFixed(1)} MB, told ${told} MB`).toBeLessThan(
    TOLERANCE,
  );
});
