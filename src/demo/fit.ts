/** The page that tells which cards hold the model: the planner's own answers, for common cards and for the visitor's. */
import { CARDS, CONTEXTS, describe9B, describeCell, fitCard, type FitCell } from '../model/fit-table.ts';
import { describeFitStep } from '../model/model-fit.ts';

const shape = describe9B();

function addRow(table: HTMLTableElement | HTMLTableSectionElement, heading: string): HTMLTableRowElement {
  const row = table.insertRow();
  const cell = document.createElement('th');
  cell.scope = 'row';
  cell.textContent = heading;
  row.append(cell);
  return row;
}

function addCell(row: HTMLTableRowElement, text: string, kind?: FitCell['kind']): void {
  const cell = row.insertCell();
  cell.textContent = text;
  if (kind) cell.dataset['kind'] = kind;
}

function showCards(table: HTMLTableElement): void {
  const head = table.createTHead().insertRow();
  for (const text of ['Card', ...CONTEXTS.map((context) => `${context.toLocaleString('en')} tokens`)]) {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const card of CARDS) {
    const row = addRow(body, `${card} GB`);
    for (const context of CONTEXTS) {
      const cell = fitCard(shape, card, context);
      addCell(row, describeCell(cell), cell.kind);
    }
  }
}

function showPlan(table: HTMLTableElement, card: number, context: number): void {
  table.replaceChildren();
  const cell = fitCard(shape, card, context);
  addCell(addRow(table, 'Result'), describeCell(cell), cell.kind);
  if (cell.kind === 'none') return;
  const { memory, steps } = cell.settings;
  const parts = {
    Weights: memory.weightBytes,
    'KV cache': memory.cacheBytes,
    'Work space': memory.scratchBytes,
    'A screenshot in the vision tower': memory.visionBytes,
    Together: memory.totalBytes,
  };
  for (const [name, bytes] of Object.entries(parts))
    addCell(addRow(table, name), `${(bytes / 1e9).toFixed(2)} GB`);
  for (const step of steps) addCell(addRow(table, 'Given up'), describeFitStep(step));
}

function find<T extends Element>(selector: string): T {
  return document.querySelector(selector) as T;
}

const form = find<HTMLFormElement>('#own');
const update = (): void => {
  const fields = new FormData(form);
  const card = Number(fields.get('card'));
  const context = Number(fields.get('context'));
  if (form.checkValidity() && card > 0 && context > 0) showPlan(find('#plan'), card, context);
};

showCards(find('#cards'));
form.addEventListener('input', update);
form.addEventListener('submit', (event) => event.preventDefault());
update();
