/** Checks how a turn is written: keyboard, input methods, paste, drop, and that the focus is never lost. */
import { readFile } from 'node:fs/promises';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const HOME = new URL('../../public/samples/home.png', import.meta.url).pathname;
const SAY = '<answer>Hello!</answer>';

test('Enter sends, Shift+Enter begins a line, and the focus stays', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [SAY], tokenMs: 0 });
  await element.input.focus();
  await page.keyboard.type('one');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('two');
  await expect(element.questions).toHaveCount(0);
  await page.keyboard.press('Enter');
  await expect(element.questions).toContainText('one\ntwo');
  await expect(element.input).toHaveValue('');
  await expect(element.input).toBeFocused();
});

test('Enter commits what an input method composes, and the next one sends', async ({ page }) => {
  const element = await openElement(page, { attributes: 'history-key="" locale="zh"' });
  await element.answerWith({ answers: [SAY], tokenMs: 0 });
  await element.input.focus();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Input.imeSetComposition', { text: 'ni hao', selectionStart: 6, selectionEnd: 6 });
  await page.evaluate(() =>
    addEventListener('keydown', ({ isComposing }) => Object.assign(window, { isComposing }), { once: true }),
  );
  // A key press that an input method takes inserts nothing.
  const key = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13 };
  await devtools.send('Input.dispatchKeyEvent', { ...key, type: 'rawKeyDown' });
  await devtools.send('Input.dispatchKeyEvent', { ...key, type: 'keyUp' });
  expect(await page.evaluate(() => (window as unknown as { isComposing?: boolean }).isComposing)).toBe(true);
  await expect(element.questions).toHaveCount(0);
  await devtools.send('Input.insertText', { text: '你好' });
  await expect(element.input).toHaveValue('你好');
  await expect(element.questions).toHaveCount(0);
  await page.keyboard.press('Enter');
  await expect(element.questions).toContainText('你好');
});

test('an empty text is not sent', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [SAY] });
  await expect(element.button('Send')).toBeDisabled();
  await element.send('   ');
  await expect(element.questions).toHaveCount(0);
});

test('nothing is sent while an answer is being written', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [SAY], prefillMs: 60_000 });
  await element.send('first');
  await element.send('second');
  await expect(element.questions).toHaveCount(1);
  await expect(element.input).toHaveValue('second');
});

test('a screenshot is pasted', async ({ page }) => {
  const element = await openElement(page);
  const bytes = [...(await readFile(HOME))];
  await element.input.focus();
  await element.input.evaluate((input, data) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(data)], 'pasted.png', { type: 'image/png' }));
    input.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }),
    );
  }, bytes);
  await expect(page.getByRole('listitem')).toContainText('pasted.png');
  await element.button('Remove pasted.png').click();
  await expect(page.getByRole('listitem')).toHaveCount(0);
  await expect(element.input).toBeFocused();
});

test('a screenshot is dropped anywhere on the element, which says where', async ({ page }) => {
  const element = await openElement(page);
  const bytes = [...(await readFile(HOME))];
  const drag = async (type: string) =>
    element.chat.evaluate(
      (chat, { data, name }) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(data)], 'dropped.png', { type: 'image/png' }));
        chat.dispatchEvent(new DragEvent(name, { dataTransfer: transfer, bubbles: true, cancelable: true }));
      },
      { data: bytes, name: type },
    );
  await drag('dragover');
  await expect(page.getByText('Drop the screenshot here')).toBeVisible();
  await drag('drop');
  await expect(page.getByText('Drop the screenshot here')).toBeHidden();
  await expect(page.getByRole('listitem')).toContainText('dropped.png');
});

test('a file that is no picture is refused with what to do', async ({ page }) => {
  const element = await openElement(page);
  await page.locator('input[type=file][multiple]').setInputFiles({
    name: 'notes.png',
    mimeType: 'image/png',
    buffer: Buffer.from('not a picture'),
  });
  await expect(page.getByRole('alert')).toContainText('Choose a PNG, JPEG or WebP file.');
  await expect(element.button('Send')).toBeDisabled();
});

test('every control is reached and used with the keyboard alone', async ({ page }) => {
  const element = await openElement(page, { attributes: '' });
  await element.answerWith({ answers: [SAY, SAY], tokenMs: 0 });
  await element.send('Hello');
  await element.settled();
  const names: string[] = [];
  for (let count = 0; count < 30; count++) {
    await page.keyboard.press('Shift+Tab');
    const name = await page.evaluate(() => {
      let active = document.activeElement;
      while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
      return active === document.body ? '' : (active?.getAttribute('aria-label') ?? active?.localName ?? '');
    });
    if (name === '') break;
    names.unshift(name);
  }
  const header = ['History', 'Backend: WebGPU, nvidia ampere, 31.4 MB', 'New chat'];
  const turns = ['Copy', 'Edit', 'Delete', 'Copy', 'Regenerate', 'Delete'];
  expect(names).toEqual([...header, 'Conversation', ...turns, 'Add a screenshot']);
});

test('a conversation is held with the keyboard alone', async ({ page }) => {
  const element = await openElement(page, { attributes: 'history-key="keyboard"' });
  const tap = '<answer>do(action="Tap", element=[139,95])</answer>';
  await element.answerWith({ answers: [tap, SAY, tap], prefillMs: 300, tokenMs: 0 });
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await expect(page.getByRole('listitem')).toHaveCount(1);
  const tabTo = async (name: RegExp, key: 'Tab' | 'Shift+Tab') => {
    for (let count = 0; count < 40; count++) {
      if (name.test(await page.evaluate(focusedName))) return;
      await page.keyboard.press(key);
    }
    throw new Error(`${key} never comes to ${name}.`);
  };
  await tabTo(/^Message$/, 'Tab');
  await page.keyboard.type('Open Maps');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await expect(element.answers).toContainText('Stopped.');
  await tabTo(/^Regenerate$/, 'Shift+Tab');
  await page.keyboard.press('Enter');
  await element.settled();
  await expect(element.answers).toContainText('Hello!');
  await tabTo(/^Previous version$/, 'Shift+Tab');
  await page.keyboard.press('Space');
  await expect(element.answers).toContainText('Stopped.');

  await tabTo(/^Edit$/, 'Shift+Tab');
  await page.keyboard.press('Enter');
  expect(await page.evaluate(focusedName)).toBe('Edit message');
  await page.keyboard.press('Escape');
  expect(await page.evaluate(focusedName)).toBe('Edit');
  await page.keyboard.press('Enter');
  await page.keyboard.type(', please');
  await page.keyboard.press('Enter');
  await element.settled();
  await expect(element.questions).toContainText('Open Maps, please');
  await expect(element.answers).toContainText('38, 53 px');

  await tabTo(/^Enlarge$/, 'Shift+Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  expect(await page.evaluate(focusedName)).toBe('Enlarge');

  await tabTo(/^Backend: /, 'Shift+Tab');
  await page.keyboard.press('Space');
  await expect(page.getByText('Unload')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByText('Unload')).toBeHidden();
  expect(await page.evaluate(focusedName)).toMatch(/^Backend: /);

  await tabTo(/^History$/, 'Shift+Tab');
  await page.keyboard.press('Enter');
  await tabTo(/^Rename$/, 'Tab');
  await page.keyboard.press('Enter');
  await page.keyboard.type('The way home');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog').getByRole('button', { name: 'The way home' })).toBeVisible();
  await page.keyboard.press('Escape');
  expect(await page.evaluate(focusedName)).toBe('History');
  await tabTo(/^New chat$/, 'Tab');
  await page.keyboard.press('Enter');
  await expect(element.questions).toHaveCount(0);
  expect(await page.evaluate(focusedName)).toBe('Message');
});

/** Runs in the page: what a screen reader would call what has the focus. */
function focusedName(): string {
  let active = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  const name = active?.getAttribute('aria-label') ?? active?.getAttribute('title') ?? active?.textContent;
  return name?.trim() ?? '';
}

test('targets are at least 44 pixels high and wide', async ({ page }) => {
  const element = await openElement(page, { attributes: '' });
  await element.answerWith({ answers: [SAY], tokenMs: 0 });
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await element.send('Hello');
  await element.settled();
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await expect(page.getByRole('listitem')).toHaveCount(1);
  const small = await page.evaluate(() => {
    const found: string[] = [];
    const visit = (root: ParentNode) => {
      for (const node of root.querySelectorAll('*')) {
        if (node.shadowRoot) visit(node.shadowRoot);
        if (!node.matches('button, input, textarea, summary, a[href]') || !node.checkVisibility()) continue;
        const { width, height } = node.getBoundingClientRect();
        if (width < 44 || height < 44) found.push(`${node.localName}.${node.className} ${width}x${height}`);
      }
    };
    visit(document);
    return found;
  });
  expect(small).toEqual([]);
});
