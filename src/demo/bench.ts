/**
 * The bench page. Its fields can come by the address, such as `bench.html?model=synthetic:9b&batches=1,4&start`, which
 * begins at once. What was measured is on the page as text and as the JSON of `autoglm bench --json`.
 */

/** What the worker answers. */
type Answer = { readonly report: unknown; readonly text: string } | { readonly error: string };

const form = find('bench', HTMLFormElement);
const fields = new URLSearchParams(location.search);
for (const element of form.elements) {
  if (!(element instanceof HTMLInputElement) || !fields.has(element.name)) continue;
  if (element.type === 'checkbox') element.checked = fields.get(element.name) !== 'false';
  else element.value = fields.get(element.name) ?? '';
}
form.addEventListener('submit', (event) => {
  event.preventDefault();
  measure();
});
if (fields.has('start')) measure();

function measure(): void {
  const status = find('status', HTMLElement);
  const worker = new Worker(new URL('../worker/bench-worker.ts', import.meta.url), { type: 'module' });
  status.textContent = 'Measuring…';
  form.inert = true;
  const finish = (outcome: string): void => {
    worker.terminate();
    status.textContent = outcome;
    form.inert = false;
  };
  worker.addEventListener('error', ({ message }) => finish(`Failed: ${message}`));
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => {
    if ('error' in data) return finish(`Failed: ${data.error}`);
    find('text', HTMLElement).textContent = data.text;
    find('json', HTMLElement).textContent = JSON.stringify(data.report, undefined, 2);
    finish('Done.');
  });
  worker.postMessage(readRequest());
}

function readRequest(): Record<string, unknown> {
  const data = new FormData(form);
  const text = (name: string): string => String(data.get(name) ?? '').trim();
  const list = (name: string): number[] => text(name).split(',').filter(Boolean).map(Number);
  const model = text('model');
  return {
    model: model.startsWith('synthetic:') ? model : new URL(model, location.href).href,
    promptTokens: Number(text('promptTokens')),
    outputTokens: Number(text('outputTokens')),
    batches: list('batches'),
    cachedTokens: list('cachedTokens'),
    repeats: Number(text('repeats')),
    vision: data.has('vision'),
    profile: data.has('profile'),
    ...(text('copyBandwidth') && { copyBandwidth: Number(text('copyBandwidth')) }),
  };
}

function find<T extends HTMLElement>(id: string, type: abstract new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no #${id}.`);
  return element;
}
