/** Checks what a person does with a conversation: send, stop, regenerate, edit, branch, delete, find again, export. */
import { readFile } from 'node:fs/promises';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const TAP = '<think>Maps is in row 1, column 1.</think><answer>do(action="Tap", element=[139,95])</answer>';
const OTHER_TAP = TAP.replace('139,95', '379,239');
const HOME = new URL('../../public/samples/home.png', import.meta.url).pathname;

test('a screenshot and a task become a mark on the screenshot', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], tokenMs: 5 });
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await expect(page.getByRole('list', { name: 'Screenshots to send' })).toContainText('280 × 560');
  await element.send('Open Maps');
  await element.settled();

  await expect(element.answers).toContainText('Tap');
  await expect(element.answers).toContainText('38, 53 px');
  const mark = element.answers.locator('[part=mark]');
  await expect(mark).toHaveAttribute('data-x', '139');
  const ring = await mark.locator('.dot').boundingBox();
  const screen = await element.answers.locator('.screen img').boundingBox();
  expect(((ring?.x ?? 0) + (ring?.width ?? 0) / 2 - (screen?.x ?? 0)) / (screen?.width ?? 1)).toBeCloseTo(
    0.139,
    2,
  );
  expect(((ring?.y ?? 0) + (ring?.height ?? 0) / 2 - (screen?.y ?? 0)) / (screen?.height ?? 1)).toBeCloseTo(
    0.095,
    2,
  );

  const [loupe, looked] = await Promise.all(
    ['.loupe', '.loupe img'].map((name) => element.answers.locator(name).boundingBox()),
  );
  expect(((loupe?.x ?? 0) + (loupe?.width ?? 0) / 2 - (looked?.x ?? 0)) / (looked?.width ?? 1)).toBeCloseTo(
    0.139,
    2,
  );
  await expect(element.questions.locator('img')).toHaveCount(0);

  await element.answers.getByText('Thought for').click();
  await expect(element.answers.locator('.reasoning-text')).toHaveText('Maps is in row 1, column 1.');
});

test('the request is what AutoGLM was trained on', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await page.getByLabel('App on screen').fill('Photos');
  await element.send('Open Maps');
  await element.settled();
  const request = await page.evaluate(
    () => (window.chat.engine as ReturnType<typeof window.createScriptedEngine>).requests[0],
  );
  expect(request?.stream).toBe(true);
  expect(request?.temperature).toBe(0);
  expect(request?.messages).toEqual([
    { role: 'system', content: 'You are a phone agent. Look at the screen and reply with one action.' },
    {
      role: 'user',
      content: [
        { type: 'image_url', image_url: { url: expect.stringMatching(/^data:image\/png;base64,/) } },
        { type: 'text', text: 'Open Maps\n\n{"current_app": "Photos"}' },
      ],
    },
  ]);
});

test('while the phone acts, the engine is told how the next request begins', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  const prefills = () =>
    page.evaluate(() => (window.chat.engine as ReturnType<typeof window.createScriptedEngine>).prefills);
  const system = {
    role: 'system',
    content: 'You are a phone agent. Look at the screen and reply with one action.',
  };
  await expect.poll(prefills).toEqual([{ messages: [system] }]);
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await element.send('Open Maps');
  await element.settled();
  await expect.poll(prefills).toHaveLength(2);
  const { messages, ...rest } = (await prefills())[1]!;
  expect(rest).toEqual({ next: 'image', replaces: 'scripted' });
  expect(messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant']);

  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await element.send('');
  await element.settled();
  const [, next] = await page.evaluate(
    () => (window.chat.engine as ReturnType<typeof window.createScriptedEngine>).requests,
  );
  expect(next?.messages.slice(0, -1)).toEqual(messages);
});

test('events tell a page what happens, in order', async ({ page }) => {
  const element = await openElement(page);
  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(window, { seen });
    for (const name of ['ready', 'backend', 'message', 'token', 'action', 'error'] as const) {
      document.addEventListener(`autoglm-${name}`, () => seen.at(-1) !== name && seen.push(name));
    }
  });
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  await element.send('Open Maps');
  await element.settled();
  expect(await page.evaluate(() => (window as unknown as { seen: string[] }).seen)).toEqual(
    'backend ready message token message action'.split(' '),
  );
});

for (const [name, script] of [
  ['before the first token', { answers: [TAP], prefillMs: 60_000 }],
  ['while tokens come', { answers: [TAP], prefillMs: 0, tokenMs: 200 }],
] as const) {
  test(`an answer stops ${name}, and the next one comes`, async ({ page }) => {
    const element = await openElement(page);
    await element.answerWith(script);
    await element.send('Open Maps');
    if (name === 'while tokens come') await expect(element.answers).toContainText('Thinking');
    else await expect(element.answers).toContainText('Reading');
    await expect(element.log).toHaveAttribute('aria-busy', 'true');
    await element.button('Stop').click();
    await element.settled();
    await expect(element.answers).toContainText('Stopped.');
    await expect(element.log).toHaveAttribute('aria-busy', 'false');
    await expect(element.input).toBeFocused();

    await element.answerWith({ answers: [TAP], tokenMs: 0 });
    await element.answers.getByRole('button', { name: 'Regenerate' }).click();
    await element.settled();
    await expect(element.answers).toContainText('Tap');
  });
}

test('Escape stops', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], prefillMs: 60_000 });
  await element.send('Open Maps');
  await element.button('Stop').waitFor();
  await page.keyboard.press('Escape');
  await expect(element.answers).toContainText('Stopped.');
});

test('answers and questions branch, and the arrows lead back', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP, OTHER_TAP, '<answer>Hello!</answer>'], tokenMs: 0 });
  await element.send('Open Maps');
  await element.settled();
  await element.answers.getByRole('button', { name: 'Regenerate' }).click();
  await element.settled();
  await expect(element.answers).toContainText('379, 239');
  await element.answers.getByRole('button', { name: 'Previous version' }).click();
  await expect(element.answers).toContainText('139, 95');

  await element.questions.hover();
  await element.questions.getByRole('button', { name: 'Edit' }).click();
  await page.getByRole('textbox', { name: 'Edit message' }).fill('Say hello');
  await page.keyboard.press('Enter');
  await element.settled();
  await expect(element.questions).toContainText('Say hello');
  await expect(element.answers).toContainText('Hello!');
  await element.questions.getByRole('button', { name: 'Previous version' }).click();
  await expect(element.answers).toContainText('139, 95');

  await element.questions.getByRole('button', { name: 'Delete' }).click();
  await expect(element.questions).toContainText('Say hello');
});

test('editing during an answer keeps what has come, and a new chat does too', async ({ page }) => {
  const element = await openElement(page, { attributes: '' });
  await element.answerWith({ answers: [TAP, TAP, '<answer>Hello!</answer>'], prefillMs: 0, tokenMs: 150 });
  await element.send('Open Maps');
  await expect(element.answers).toContainText('Thinking');
  await element.questions.hover();
  await element.questions.getByRole('button', { name: 'Edit' }).click();
  await page.getByRole('textbox', { name: 'Edit message' }).fill('Open Clock');
  await page.keyboard.press('Enter');
  await expect(element.answers).toContainText('Thinking');
  await element.questions.getByRole('button', { name: 'Previous version' }).click();
  await expect(element.answers).toContainText('Stopped.');
  await element.questions.getByRole('button', { name: 'Next version' }).click();
  await expect(element.answers).toContainText('Stopped.');

  await element.send('Say hello');
  await expect(element.answers).toHaveCount(2);
  await element.button('New chat').click();
  await element.button('History').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Open Clock' }).click();
  await expect(element.answers).toHaveCount(2);
  await expect(element.answers.last()).toContainText('Stopped.');
});

test('a reload goes on where it was, with the screenshot and the draft', async ({ page }) => {
  const element = await openElement(page, { attributes: '' });
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await element.send('Open Maps');
  await element.settled();
  await element.input.fill('Half a thought');
  await page.reload();
  await expect(element.answers.locator('[part=mark]')).toHaveAttribute('data-x', '139');
  await expect(element.input).toHaveValue('Half a thought');
  const isLoaded = await element.answers
    .locator('.screen img')
    .evaluate((image: HTMLImageElement) => image.naturalWidth);
  expect(isLoaded).toBe(280);
});

test('the history finds, renames, opens, exports, imports and deletes', async ({ page }) => {
  const element = await openElement(page, { attributes: '' });
  await element.answerWith({ answers: [TAP, '<answer>It is **sunny**.</answer>'], tokenMs: 0 });
  await element.send('Open Maps');
  await element.settled();
  await element.button('New chat').click();
  await element.send('What is the weather?');
  await element.settled();

  await element.button('History').click();
  const panel = page.getByRole('dialog', { name: 'History' });
  const items = panel.getByRole('listitem');
  await expect(items).toHaveCount(2);
  await expect(items.first()).toContainText('What is the weather?');
  await panel.getByRole('searchbox').fill('sunny');
  await expect(items).toHaveCount(1);
  await panel.getByRole('searchbox').fill('maps');
  await items.getByRole('button', { name: 'Rename' }).click();
  await panel.getByRole('textbox', { name: 'Title' }).fill('Way home');
  await page.keyboard.press('Enter');
  await panel.getByRole('searchbox').fill('way');
  await items.getByRole('button', { name: 'Way home' }).click();
  await expect(element.questions).toContainText('Open Maps');

  await element.button('History').click();
  const saved = page.waitForEvent('download');
  await panel.getByRole('button', { name: 'Export as JSON' }).click();
  const path = await (await saved).path();
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
    format: 'autoglm-chat',
    version: 1,
    title: 'Way home',
    messages: [
      { role: 'user', content: 'Open Maps' },
      { role: 'assistant', content: TAP },
    ],
  });
  await items.filter({ hasText: 'Way home' }).getByRole('button', { name: 'Delete' }).click();
  await expect(items).toHaveCount(1);
  await page.locator('input[accept*=json]').setInputFiles(path);
  await expect(panel).toBeHidden();
  await expect(element.questions).toContainText('Open Maps');

  await element.button('History').click();
  await page.locator('input[accept*=json]').setInputFiles({
    name: 'broken.json',
    mimeType: 'application/json',
    buffer: Buffer.from(
      '{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://evil.test/a.png"}}]}]}',
    ),
  });
  await expect(panel.getByRole('alert')).toContainText('a data URL');
});

test('an exported conversation comes back with its screenshot and app', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await page.getByLabel('App on screen').fill('A "b" \\ c');
  await element.send('Open Maps');
  await element.settled();
  const [first, second] = await page.evaluate(async () => {
    const exported = await window.chat.exportHistory();
    await window.chat.importHistory(exported);
    return [exported, await window.chat.exportHistory()];
  });
  expect(second).toBe(first);
  await expect(element.questions).toContainText('A "b" \\ c');
  expect(await page.evaluate(() => window.chat.exportHistory('markdown'))).toContain('do(action="Tap"');
});

test('object URLs of screenshots are revoked when their conversation goes', async ({ page }) => {
  await page.addInitScript(() => {
    const open = new Set<string>();
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (source) => {
      const url = createObjectURL.call(URL, source);
      open.add(url);
      return url;
    };
    URL.revokeObjectURL = (url) => {
      open.delete(url);
      revokeObjectURL.call(URL, url);
    };
    Object.assign(window, { openUrls: open });
  });
  const openCount = () => page.evaluate(() => (window as unknown as { openUrls: Set<string> }).openUrls.size);
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  const picker = page.locator('input[type=file][multiple]');
  await picker.setInputFiles([HOME, HOME]);
  await expect(page.getByRole('listitem')).toHaveCount(2);
  expect(await openCount()).toBe(2);
  await element.button('Remove home.png').first().click();
  await expect(page.getByRole('listitem')).toHaveCount(1);
  expect(await openCount()).toBe(1);
  await element.send('Open Maps');
  await element.settled();
  expect(await openCount()).toBe(1);
  await element.button('New chat').click();
  await expect.poll(openCount).toBe(0);
});

test('a form submits the newest answer, and its reset begins a new conversation', async ({ page }) => {
  const element = await openElement(page, { attributes: 'history-key="" name="answer"' });
  await page.evaluate(() => {
    const form = document.createElement('form');
    window.chat.before(form);
    form.append(window.chat);
  });
  await element.answerWith({ answers: ['<answer>Fine.</answer>'], tokenMs: 0 });
  await element.send('How are you?');
  await element.settled();
  const submitted = await page.evaluate(() => [...new FormData(document.querySelector('form') ?? undefined)]);
  expect(submitted).toEqual([['answer', '<answer>Fine.</answer>']]);
  await page.evaluate(() => document.querySelector('form')?.reset());
  await expect(element.answers).toHaveCount(0);
});
