/** Checks that a long conversation with a fast stream leaves the page responsive. */
import type { Browser, CDPSession, Page } from '@playwright/test';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const PARAGRAPH =
  'The **quick** brown fox jumps over the `lazy` dog, and a [link](https://example.com) stands here. ';
const PART = `# Part\n\n- one\n- two\n\n${PARAGRAPH.repeat(3)}\n\n`;
const LONG_ANSWER = `<think>A long answer.</think><answer>${PART.repeat(6)}</answer>`;
const SHORT_ANSWER = `<answer>${PARAGRAPH.repeat(4)}\n\n- a\n- b</answer>`;

// Recording takes pictures of the page, which blocks it by itself.
test.use({ trace: 'off', screenshot: 'off' });

test('500 messages and 200 tokens a second', async ({ page, browser }, testInfo) => {
  const element = await openElement(page);
  await page.evaluate(showConversation, SHORT_ANSWER);
  await element.answerWith({ answers: [LONG_ANSWER], prefillMs: 200, tokenMs: 5 });
  await page.waitForTimeout(1500);

  const devtools = await page.context().newCDPSession(page);
  const stream = () => page.evaluate(streamAndMeasure);
  const [tasks, measured] = await traceTasks(browser, page, stream);
  const before = await readMemory(devtools);
  await stream();
  const after = await readMemory(devtools);
  const figures = {
    ...measured,
    heapBytes: after.heapBytes,
    heapGrowthBytes: after.heapBytes - before.heapBytes,
    nodeGrowth: after.nodes - before.nodes,
    longestTaskMs: Math.max(...tasks.map(({ wallMs }) => wallMs)),
    longestTaskCpuMs: Math.max(...tasks.map(({ cpuMs }) => cpuMs)),
    cpuMsPerFrame: tasks.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / measured.frames,
  };
  const message = `500 messages, streaming: ${JSON.stringify(figures)}`;
  testInfo.annotations.push({ type: 'figure', description: message });
  console.log(message);

  expect(figures.tokens).toBeGreaterThan(500);
  // A second answer of the same length: its own text and nodes, and no more.
  expect(figures.heapGrowthBytes).toBeLessThan(2e6);
  expect(figures.nodeGrowth).toBeLessThan(1500);
  // Processor time, not time on the clock: other programs may hold this machine's two cores.
  expect(figures.longestTaskCpuMs).toBeLessThan(50);
  expect(figures.cpuMsPerFrame).toBeLessThan(16);
});

/** Runs in the page. */
async function showConversation(content: string): Promise<void> {
  const messages = Array.from({ length: 500 }, (_, index) =>
    index % 2 === 0 ? { role: 'user', content: `Question ${index}` } : { role: 'assistant', content },
  );
  await window.chat.importHistory(messages);
}

/** Runs in the page. */
async function streamAndMeasure() {
  let frames = 0;
  let isRunning = true;
  const onFrame = () => {
    frames++;
    if (isRunning) requestAnimationFrame(onFrame);
  };
  requestAnimationFrame(onFrame);
  const start = performance.now();
  const turn = await window.chat.send('Write a long answer');
  isRunning = false;
  const seconds = (performance.now() - start) / 1000;
  return { seconds, frames, framesPerSecond: frames / seconds, tokens: turn.figures?.completionTokens ?? 0 };
}

/** What is held once everything that can go has gone. */
async function readMemory(devtools: CDPSession): Promise<{ heapBytes: number; nodes: number }> {
  await devtools.send('HeapProfiler.collectGarbage');
  const { usedSize } = await devtools.send('Runtime.getHeapUsage');
  const { nodes } = await devtools.send('Memory.getDOMCounters');
  return { heapBytes: usedSize, nodes };
}

/** One task of the page's main thread. */
interface Task {
  readonly wallMs: number;
  readonly cpuMs: number;
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds on the clock and of the processor. */
  readonly dur?: number;
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

async function traceTasks<T>(browser: Browser, page: Page, run: () => Promise<T>): Promise<[Task[], T]> {
  await browser.startTracing(page, { categories: ['disabled-by-default-devtools.timeline'] });
  const result = await run();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    traceEvents: TraceEvent[];
  };
  const threads = traceEvents.filter(
    ({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain',
  );
  const isMain = ({ pid, tid }: TraceEvent) =>
    threads.some((thread) => thread.pid === pid && thread.tid === tid);
  const tasks = traceEvents.filter((event) => event.name === 'RunTask' && isMain(event));
  return [tasks.map(({ dur = 0, tdur = 0 }) => ({ wallMs: dur / 1000, cpuMs: tdur / 1000 })), result];
}
