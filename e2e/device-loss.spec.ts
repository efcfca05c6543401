/** A GPU that goes away: in the middle of a load and of an answer it ends in one clear error, and a load works again. */
import { expect, test, type Page } from '@playwright/test';
import type { openBrowserEngine } from '../src/engine/open-browser-engine.ts';

const ENGINE_MODULE = `/@fs${new URL('../src/engine/open-browser-engine.ts', import.meta.url).pathname}`;
const MODEL = '/models/autoglm-tiny-q4f16_1';

/** What happened, step by step. */
interface Outcome {
  readonly midLoad: unknown;
  readonly midAnswer: unknown;
  readonly textBefore: string;
  readonly nextCall: unknown;
  readonly textAfter: string;
}

function loseDevice(page: Page): Promise<Outcome> {
  return page.evaluate(
    async ([address, model]) => {
      const { openBrowserEngine: open } = (await import(address)) as {
        openBrowserEngine: typeof openBrowserEngine;
      };
      let device: GPUDevice | undefined;
      const { requestDevice } = GPUAdapter.prototype;
      GPUAdapter.prototype.requestDevice = async function capture(...options) {
        device = await requestDevice.apply(this, options);
        return device;
      };
      const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code ?? String(error);
      const load = (onUpload = (): void => {}) =>
        open({
          model,
          contextWindow: 512,
          onProgress: ({ phase }) => {
            if (phase === 'uploading') onUpload();
          },
        });
      const ask = {
        messages: [{ role: 'user', content: 'Hello! What can you do?' }],
        temperature: 0,
      } as const;

      const midLoad = await load(() => device?.destroy()).then(() => 'loaded', codeOf);

      const engine = await load();
      let textBefore = '';
      let midAnswer: unknown = 'answered';
      try {
        const stream = await engine.chat.completions.create({ ...ask, stream: true, ignore_eos: true });
        for await (const { choices } of stream) {
          textBefore += choices[0]?.delta.content ?? '';
          if (textBefore.length > 8) device?.destroy();
        }
      } catch (error) {
        midAnswer = codeOf(error);
      }
      const nextCall = await engine.chat.completions.create(ask).then(() => 'answered', codeOf);
      await engine.unload();

      const again = await load();
      const { choices } = await again.chat.completions.create({ ...ask, max_tokens: 12 });
      await again.unload();
      return { midLoad, midAnswer, textBefore, nextCall, textAfter: choices[0].message.content };
    },
    [ENGINE_MODULE, MODEL] as const,
  );
}

test('a lost device ends a load and an answer with its own error, and the next load works', async ({
  page,
}) => {
  await page.route('**/blank', (route) => route.fulfill({ contentType: 'text/html', body: '<p></p>' }));
  await page.goto('/blank');
  const outcome = await loseDevice(page);
  expect(outcome).toMatchObject({
    midLoad: 'device-lost',
    midAnswer: 'device-lost',
    nextCall: 'device-lost',
  });
  expect(outcome.textBefore.length).toBeGreaterThan(8);
  // The same words as before the loss, as far as those went.
  expect(outcome.textAfter.startsWith(outcome.textBefore.slice(0, 8))).toBe(true);
});
