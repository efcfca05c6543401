import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeReferenceCheckpoint } from '../model/goldens/reference-model.test-support.ts';
import { buildCli, type BuiltCli } from './built-cli.test-support.ts';
import type { ConvertResult } from './convert.ts';
import { createNarrowConfig } from './narrow-config.test-support.ts';
import { createTemporaryFolder, type TemporaryFolder } from './reference-folder.test-support.ts';
import { synthesizeCheckpoint } from './synth.ts';

const run = promisify(execFile);

// Disk and cores may be shared with everything else that a test run does.
vi.setConfig({ testTimeout: 120_000 });

let temporary: TemporaryFolder;
let cli: BuiltCli;

// The built command: other than the sources it converts in worker threads.
beforeAll(async () => {
  temporary = await createTemporaryFolder();
  cli = await buildCli('convert-test');
}, 60_000);
afterAll(async () => {
  await temporary[Symbol.asyncDispose]();
  await cli[Symbol.asyncDispose]();
});

/** 0.3 GB in bf16; the embedding and the head alone are 268 MB each in f32. */
async function writeWideCheckpoint(target: string): Promise<void> {
  await synthesizeCheckpoint({
    target,
    layers: 1,
    blocks: 1,
    seed: 0,
    quantization: 'q4f16_1',
    visionQuantization: 'default',
    config: createNarrowConfig({ C: 2048, F: 1024, V: 32768, layers: 1 }),
  });
}

async function convert(source: string, target: string, threads: number): Promise<ConvertResult> {
  const { stdout } = await run(process.execPath, [
    cli.program,
    'convert',
    source,
    target,
    '--threads',
    `${threads}`,
    '--json',
  ]);
  return JSON.parse(stdout) as ConvertResult;
}

describe('the built command', () => {
  it('converts in less memory than one of the tensors takes, with and without threads to the same bytes', async () => {
    const source = join(temporary.path, 'wide');
    await writeWideCheckpoint(source);
    const targets = [0, 2].map((threads) => join(temporary.path, `threads-${threads}`));
    const [alone, threaded] = [await convert(source, targets[0]!, 0), await convert(source, targets[1]!, 2)];
    expect(alone.peakRssBytes).toBeLessThan(250e6);
    expect(threaded.peakRssBytes).toBeLessThan(250e6);
    const manifests = await Promise.all(
      targets.map((target) => readFile(join(target, 'tensor-cache.json'), 'utf8')),
    );
    expect(manifests[1]).toBe(manifests[0]);
  });

  it('reports a fault that a worker thread met by its code and exits with 1', async () => {
    const source = join(temporary.path, 'not-finite');
    await writeReferenceCheckpoint('glm4v-a', source);
    const path = join(source, 'model.safetensors');
    const weights = await readFile(path);
    weights.writeFloatLE(NaN, weights.byteLength - 4);
    await writeFile(path, weights);
    const failure = await convert(source, join(temporary.path, 'x'), 2).catch((error: unknown) => error);
    const { code, stdout } = failure as { code: number; stdout: string };
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'checkpoint-invalid', value: null } });
  });

  it('exits with 2 for bad usage', async () => {
    await expect(run(process.execPath, [cli.program, 'convert'])).rejects.toMatchObject({ code: 2 });
  });
});
