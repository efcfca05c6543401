/** Checks that pictures reach the model with the same pixels in a browser, on the page and in a worker, as in Node. */
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { decodeWithSharp } from '../src/image/decode-node.ts';
import {
  GLM_CONFIG,
  GOLDEN_MODELS,
  readGoldenConfig,
  readGoldenFile,
} from '../src/image/golden.test-support.ts';
import {
  createLargeTransparentSamples,
  createLosslessSamples,
  createOrientedSamples,
  createOtherSamples,
} from '../src/image/image-samples.test-support.ts';
import type { ImageSample } from '../src/image/image-samples.test-support.ts';
import { prepareImage } from '../src/image/prepare-image.ts';
import type { PreprocessorConfig } from '../src/image/preprocessor-config.ts';
import { expect, test } from './quiet-page.ts';

/** What the browser made of a picture. */
type Answer =
  | { width: number; height: number; data: string; contentHash: string; patches: string }
  | { code: string; value: unknown };

type Place = 'page' | 'worker';

const SOURCE = `/@fs${fileURLToPath(new URL('../src/image/', import.meta.url))}`;

/** Levels by which a browser's CMYK may differ: its arithmetic rounds otherwise than the reference's. */
const CMYK_TOLERANCE = 1;

for (const place of ['page', 'worker'] as const) {
  test.describe(`${place === 'page' ? 'on the page' : 'in a worker'}`, () => {
    test.beforeEach(({ page }) => openEmptyPage(page));

    test('every format, colour model and orientation decodes as in Node', async ({ page }) => {
      const samples = [
        ...(await createLosslessSamples()),
        ...(await createOtherSamples()),
        ...(await createOrientedSamples()),
        ...(await createLargeTransparentSamples()),
      ];
      const files = samples.map(({ bytes }) => bytes);
      const answers = await askBrowser(page, place, files, GLM_CONFIG);
      for (const [index, sample] of samples.entries()) await expectSamePixels(sample, answers[index]!);
    });

    test('pictures become the same patches and hashes as in Node', async ({ page }) => {
      for (const model of GOLDEN_MODELS) {
        const config = readGoldenConfig(model);
        const files = ['image1.png', 'image2.png'].map((name) => readGoldenFile(model, name));
        const answers = await askBrowser(page, place, files, config);
        for (const [index, file] of files.entries()) {
          const { contentHash, patches } = await prepareImage(await decodeWithSharp(file), config);
          expect(answers[index], `${model}, image ${index + 1}`).toMatchObject({
            contentHash,
            patches: Buffer.from(patches.buffer).toString('base64'),
          });
        }
      }
    });

    test('files that are no whole pictures give typed errors', async ({ page }) => {
      const [png] = await createLosslessSamples();
      const { bytes } = png!;
      const middle = Math.floor(bytes.length / 2);
      const files = [
        new TextEncoder().encode('not an image'),
        new Uint8Array(),
        bytes.subarray(0, middle),
        bytes.with(middle, bytes[middle]! ^ 0x5a),
      ];
      const answers = await askBrowser(page, place, files, GLM_CONFIG);
      expect(answers).toMatchObject(
        files.map((file) => ({ code: 'image-undecodable', value: { byteLength: file.length } })),
      );
    });
  });
}

async function expectSamePixels({ name, bytes }: ImageSample, answer: Answer): Promise<void> {
  const expected = await decodeWithSharp(bytes);
  expect(answer, name).toMatchObject({ width: expected.width, height: expected.height });
  const data = Buffer.from('data' in answer ? answer.data : '', 'base64');
  expect(data, name).toHaveLength(expected.data.length);
  const greatest = expected.data.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - data[index]!)),
    0,
  );
  expect(greatest, name).toBeLessThanOrEqual(name.includes('CMYK') ? CMYK_TOLERANCE : 0);
}

/** A page of the test's own: the product's page would load its model. */
async function openEmptyPage(page: Page): Promise<void> {
  await page.route('**/image-check', (route) => route.fulfill({ contentType: 'text/html', body: '<p></p>' }));
  await page.goto('/image-check');
}

async function askBrowser(
  page: Page,
  place: Place,
  files: readonly Uint8Array[],
  config: PreprocessorConfig,
): Promise<Answer[]> {
  const request = {
    files: files.map((bytes) => Buffer.from(bytes).toString('base64')),
    config,
    source: SOURCE,
  };
  const run = place === 'page' ? prepareOnPage : prepareInWorker;
  return page.evaluate(run, { request, code: prepareOnPage.toString() });
}

interface Task {
  readonly request: {
    /** Base64. */
    readonly files: readonly string[];
    readonly config: PreprocessorConfig;
    /** Address of `src/image`. */
    readonly source: string;
  };
  /** Source text of `prepareOnPage`, for the worker. */
  readonly code: string;
}

/** Runs in the browser, so it may use nothing from outside itself. */
async function prepareOnPage({ request }: Pick<Task, 'request'>): Promise<Answer[]> {
  const load = (name: string) => import(/* @vite-ignore */ `${location.origin}${request.source}${name}`);
  const { decodeWithPlatform } = await load('decode-platform.ts');
  const { prepareImage: prepare } = await load('prepare-image.ts');
  const toBase64 = (data: Uint8Array) => {
    let text = '';
    for (let start = 0; start < data.length; start += 8192) {
      text += String.fromCharCode(...data.subarray(start, start + 8192));
    }
    return btoa(text);
  };
  const answer = async (file: string): Promise<Answer> => {
    try {
      const image = await decodeWithPlatform(Uint8Array.from(atob(file), (text) => text.charCodeAt(0)));
      const { contentHash, patches } = await prepare(image, request.config);
      return {
        width: image.width,
        height: image.height,
        data: toBase64(image.data),
        contentHash,
        patches: toBase64(new Uint8Array(patches.buffer)),
      };
    } catch (error) {
      const { code, value } = error as { code?: string; value?: unknown };
      return { code: code ?? String(error), value };
    }
  };
  return Promise.all(request.files.map((file) => answer(file)));
}

/** Runs in the browser: does the same in a worker, which has neither canvas elements nor a document. */
async function prepareInWorker({ request, code }: Task): Promise<Answer[]> {
  const source = `const run = ${code}; onmessage = async ({ data }) => postMessage(await run(data));`;
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const worker = new Worker(url, { type: 'module' });
  try {
    return await new Promise<Answer[]>((resolve, reject) => {
      worker.addEventListener('message', ({ data }) => resolve(data as Answer[]));
      worker.addEventListener('error', (event) => reject(new Error(event.message)));
      worker.postMessage({ request }, []);
    });
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
}
