import type { Recorder } from '../gpu/device.ts';
import type { BufferTable } from './buffer-table.ts';
import { ROW_BYTES } from './step.ts';
import { TEXT_BUFFERS } from './text-buffers.ts';

/**
 * Which slot's row is in which column of the decode step. Rows stay on the device, because only the device knows the
 * last token of a sequence whose steps are in flight: between steps they wait in `slotRows`.
 */
export class DecodeColumns {
  readonly #buffers: BufferTable;
  /** Slot of each column; undefined where the row is of no use any more. */
  #slots: (number | undefined)[] = [];

  constructor(buffers: BufferTable) {
    this.#buffers = buffers;
  }

  /** Records what puts the rows of these slots into the first columns, in order. Costs nothing where they are there. */
  recordArrangement(recorder: Recorder, slots: readonly number[]): void {
    if (slots.every((slot, column) => this.#slots[column] === slot)) return;
    this.recordSave(recorder);
    const rows = this.#buffers.get(TEXT_BUFFERS.decodeRows);
    const waiting = this.#buffers.get(TEXT_BUFFERS.slotRows);
    slots.forEach((slot, column) =>
      recorder.copy(waiting, slot * ROW_BYTES, rows, column * ROW_BYTES, ROW_BYTES),
    );
    // Columns behind them were saved, and are loaded anew when they are asked for.
    this.#slots = [...slots];
  }

  /** Records what frees all columns for other rows. */
  recordSave(recorder: Recorder): void {
    const rows = this.#buffers.get(TEXT_BUFFERS.decodeRows);
    const waiting = this.#buffers.get(TEXT_BUFFERS.slotRows);
    this.#slots.forEach((slot, column) => {
      if (slot === undefined) return;
      recorder.copy(rows, column * ROW_BYTES, waiting, slot * ROW_BYTES, ROW_BYTES);
    });
    this.#slots = [];
  }

  /** Records what takes the row of `firstRow` over as the slot's. */
  recordFirst(recorder: Recorder, slot: number): void {
    this.forget(slot);
    const first = this.#buffers.get(TEXT_BUFFERS.firstRow);
    const waiting = this.#buffers.get(TEXT_BUFFERS.slotRows);
    recorder.copy(first, 0, waiting, slot * ROW_BYTES, ROW_BYTES);
  }

  /** Notes that the slot's row is given up, so that it does not overwrite the next sequence's. */
  forget(slot: number): void {
    this.#slots = this.#slots.map((one) => (one === slot ? undefined : one));
  }
}
