/** Checks that a long conversation with a fast stream leaves the page responsive. */
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const PARAGRAPH =
  'The **quick** brown fox jumps over the `lazy` dog, and a [link](https://example.com) stands here. ';
const LONG_ANSWER = `<think>A long answer.</think><answer>${`# Part\n\n- one\n- two\n\n${PARAGRAPH.repeat(3)}\n\n`.repeat(12)}</answer>`;

// Recording takes pictures of the page, which blocks it by itself.
test.use({ trace: 'off', screenshot: 'off' });

test('500 messages and 200 tokens a second', async ({ page }, testInfo) => {
  const element = await openElement(page);
  await page.evaluate(
    async (content) => {
      await window.chat.importHistory(
        Array.from({ length: 500 }, (_, index) =>
          index % 2 === 0 ? { role: 'user', content: `Question ${index}` } : { role: 'assistant', content },
        ),
      );
    },
    `<answer>${PARAGRAPH.repeat(4)}\n\n- a\n- b</answer>`,
  );
  await element.answerWith({ answers: [LONG_ANSWER], prefillMs: 200, tokenMs: 5 });
  await page.waitForTimeout(1500);
  const measured = await page.evaluate(async () => {
    const tasks: number[] = [];
    const observer = new PerformanceObserver((list) =>
      tasks.push(...list.getEntries().map(({ duration }) => duration)),
    );
    observer.observe({ type: 'longtask' });
    const frames: number[] = [];
    let isRunning = true;
    const onFrame = (time: number) => {
      frames.push(time);
      if (isRunning) requestAnimationFrame(onFrame);
    };
    requestAnimationFrame(onFrame);
    const start = performance.now();
    const turn = await window.chat.send('Write a long answer');
    isRunning = false;
    observer.disconnect();
    const gaps = frames.slice(1).map((time, index) => time - (frames[index] ?? time));
    return {
      seconds: (performance.now() - start) / 1000,
      tokens: turn.figures?.completionTokens ?? 0,
      framesPerSecond: (1000 * gaps.length) / gaps.reduce((sum, gap) => sum + gap, 0),
      longestGapMs: Math.max(...gaps),
      longTasksMs: tasks,
    };
  });
  const message = `500 messages, streaming: ${JSON.stringify(measured)}`;
  testInfo.annotations.push({ type: 'figure', description: message });
  console.log(message);
  expect(measured.tokens).toBeGreaterThan(500);
  expect(measured.longTasksMs.filter((duration) => duration > 50)).toEqual([]);
});
