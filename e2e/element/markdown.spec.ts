/** Checks that nothing a model can write runs, fetches, or breaks the page: the answer is untrusted. */
import type { Page } from '@playwright/test';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const HOSTILE: readonly { readonly name: string; readonly text: string; readonly shows?: RegExp }[] = [
  { name: 'a script', text: '<script>window.hacked = 1</script>', shows: /window\.hacked/ },
  { name: 'an event handler', text: '<img src=x onerror="window.hacked = 1">', shows: /onerror/ },
  { name: 'a javascript link', text: '[click](javascript:window.hacked=1)', shows: /click/ },
  {
    name: 'an obfuscated javascript link',
    text: '[click](jav&#x09;ascript:window.hacked=1)',
    shows: /click/,
  },
  { name: 'a data link', text: '[click](data:text/html,<script>parent.hacked=1</script>)', shows: /click/ },
  { name: 'a vbscript link', text: '[click](vbscript:msgbox)', shows: /click/ },
  { name: 'a file link', text: '[click](file:///etc/passwd)', shows: /click/ },
  {
    name: 'an SVG',
    text: '<svg onload="window.hacked=1"><script>window.hacked=1</script></svg>',
    shows: /svg/,
  },
  { name: 'MathML', text: '<math><mtext><img src=x onerror=window.hacked=1></mtext></math>', shows: /math/ },
  { name: 'a style', text: '<style>*{display:none!important}</style>', shows: /display:none/ },
  {
    name: 'an inline style',
    text: '<p style="position:fixed;inset:0;background:url(https://evil.test/s)">x</p>',
  },
  { name: 'a remote image', text: '![beacon](https://evil.test/beacon.png)', shows: /beacon/ },
  { name: 'a remote image by reference', text: '![b][1]\n\n[1]: https://evil.test/ref.png', shows: /b/ },
  {
    name: 'a raw remote image',
    text: '<img src="https://evil.test/raw.png" srcset="https://evil.test/set.png 2x">',
  },
  {
    name: 'a frame',
    text: '<iframe src="https://evil.test/"></iframe><object data="https://evil.test/"></object>',
  },
  {
    name: 'a form',
    text: '<form action="https://evil.test/"><input name=a autofocus><button>Go</button></form>',
  },
  {
    name: 'a stylesheet and a base',
    text: '<link rel=stylesheet href="https://evil.test/a.css"><base href="//evil.test">',
  },
  { name: 'a meta refresh', text: '<meta http-equiv="refresh" content="0;url=https://evil.test/">' },
  {
    name: 'a template that mutates',
    text: '<svg></p><style><a id="</style><img src=x onerror=window.hacked=1>">',
  },
  {
    name: 'a code language that is HTML',
    text: '```"><img/src=x/onerror=window.hacked=1>\ncode\n```',
    shows: /code/,
  },
  {
    name: 'a table with HTML',
    text: '| <b onclick=window.hacked=1>a</b> |\n|---|\n| <script>window.hacked=1</script> |',
  },
  {
    name: 'a custom element',
    text: '<autoglm-chat model="https://evil.test/" loading="eager"></autoglm-chat>',
  },
  { name: 'a line of a megabyte', text: 'a'.repeat(1_000_000) },
  { name: 'a megabyte of brackets', text: '['.repeat(1_000_000) },
  {
    name: 'bidirectional overrides',
    text: `start \u202E${'evil '.repeat(20)}\u2066\u2067 end`,
    shows: /start/,
  },
  { name: 'zero-width characters', text: `a${'\u200B\u200D\uFEFF'.repeat(2000)}b`, shows: /a/ },
  { name: 'stacked marks', text: `z${'\u0336\u0489'.repeat(500)}`, shows: /z/ },
];

test('nothing hostile runs, is fetched, or breaks the layout', async ({ page }) => {
  const asked: string[] = [];
  await page.route('https://evil.test/**', (route) => {
    asked.push(route.request().url());
    return route.fulfill({ body: '' });
  });
  const element = await openElement(page);
  await element.answerWith({ answers: [''] });
  for (const { name, text, shows } of HOSTILE) {
    await test.step(name, async () => {
      await showAnswer(page, `<answer>${text}</answer>`);
      const markdown = page.locator('autoglm-markdown');
      await expect(markdown, name).toBeVisible();
      if (shows !== undefined) await expect(markdown, name).toContainText(shows);
      const { names, attributes, links } = await markdown.evaluate(inspect);
      expect.soft(names, name).toEqual([]);
      expect.soft(attributes, name).toEqual([]);
      for (const link of links) expect.soft(link, name).toMatch(/^https?: _blank noopener noreferrer/);
      // What an attribute or a frame starts, it starts in a later task.
      await page.waitForTimeout(50);
      expect.soft(asked, name).toEqual([]);
      expect.soft(await page.evaluate(() => 'hacked' in window), name).toBe(false);
      expect.soft(await page.evaluate(measureOverflow), name).toEqual({ wide: 0, high: 0 });
      await expect.soft(element.input, name).toBeInViewport();
    });
  }
});

/** Shows an answer at once: streaming a megabyte would test the script, not the element. */
async function showAnswer(page: Page, answer: string): Promise<void> {
  await page.evaluate(async (content) => {
    const { chat } = window;
    chat.reset();
    await chat.updateComplete;
    await chat.importHistory([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content },
    ]);
    await chat.updateComplete;
  }, answer);
}

/** Runs in the page. */
function inspect(host: Element) {
  const banned =
    /^(?:script|style|svg|math|img|iframe|object|embed|form|input|link|meta|base|template|autoglm-.*)$/;
  const nodes = [...(host.shadowRoot?.querySelectorAll('*') ?? [])];
  return {
    names: nodes.map(({ localName }) => localName).filter((name) => banned.test(name)),
    attributes: nodes.flatMap((node) =>
      node.getAttributeNames().filter((name) => /^on|^style$|^src/.test(name)),
    ),
    links: nodes
      .filter((node) => node instanceof HTMLAnchorElement)
      .map(({ href, target, rel }) => `${new URL(href).protocol} ${target} ${rel}`),
  };
}

/** Runs in the page, which itself must never scroll. */
function measureOverflow() {
  const { scrollWidth, scrollHeight, clientWidth, clientHeight } = document.documentElement;
  return { wide: scrollWidth - clientWidth, high: scrollHeight - clientHeight };
}

test('code is copied as it is, and says so', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const element = await openElement(page);
  await element.answerWith({ answers: ['<answer>```ts\nconst a = 1 < 2;\n```</answer>'], tokenMs: 1 });
  await element.send('Code, please');
  await element.settled();
  await page.locator('autoglm-markdown').getByRole('button', { name: 'Copy' }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('const a = 1 < 2;\n');
  await expect(page.locator('autoglm-markdown').getByRole('button', { name: 'Copied' })).toBeVisible();
});

test('a list goes on where it says, and a column is aligned as it says', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({
    answers: ['<answer>3. three\n4. four\n\n| a |\n|--:|\n| 1 |</answer>'],
    tokenMs: 0,
  });
  await element.send('Go on');
  await element.settled();
  const markdown = page.locator('autoglm-markdown');
  await expect(markdown.getByRole('list')).toHaveAttribute('start', '3');
  await expect(markdown.getByRole('cell')).toHaveCSS('text-align', /right$/);
});

test('Markdown looks the same streamed and at once', async ({ page }) => {
  const text = '# A\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n**bold** and `code`\n\n> quote';
  const element = await openElement(page);
  await element.answerWith({ answers: [`<answer>${text}</answer>`], tokenMs: 5 });
  await element.send('Stream');
  await element.settled();
  const html = () =>
    page
      .locator('autoglm-markdown')
      .last()
      .evaluate((host) =>
        host.shadowRoot?.querySelector('.markdown')?.innerHTML.replaceAll(/<!--.*?-->/g, ''),
      );
  const streamed = await html();
  await page.evaluate(
    (content) => window.chat.importHistory([{ role: 'assistant', content }]),
    `<answer>${text}</answer>`,
  );
  await page.waitForTimeout(200);
  expect(await html()).toBe(streamed);
});
