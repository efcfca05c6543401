import type { ReactiveController, ReactiveElement } from 'lit';
import { collectDroppedFiles } from '../engine/dropped-files.ts';
import { hasFiles, imageFiles } from './image-files.ts';

/** Takes pictures that are dropped anywhere on the element, and model folders. */
export class DropController implements ReactiveController {
  readonly #host: ReactiveElement;
  readonly #onFiles: (files: readonly File[]) => void;
  readonly #onFolder: (files: readonly File[]) => void;
  #isOver = false;

  constructor(
    host: ReactiveElement,
    onFiles: (files: readonly File[]) => void,
    onFolder: (files: readonly File[]) => void,
  ) {
    this.#host = host;
    this.#onFiles = onFiles;
    this.#onFolder = onFolder;
    host.addController(this);
  }

  /** True while files are dragged over the element. */
  get isOver(): boolean {
    return this.#isOver;
  }

  hostConnected(): void {
    this.#host.addEventListener('dragenter', this.#onOver);
    this.#host.addEventListener('dragover', this.#onOver);
    this.#host.addEventListener('dragleave', this.#onLeave);
    this.#host.addEventListener('drop', this.#onDrop);
  }

  hostDisconnected(): void {
    this.#host.removeEventListener('dragenter', this.#onOver);
    this.#host.removeEventListener('dragover', this.#onOver);
    this.#host.removeEventListener('dragleave', this.#onLeave);
    this.#host.removeEventListener('drop', this.#onDrop);
  }

  #onOver = (event: DragEvent): void => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    this.#setOver(true);
  };

  #onLeave = (event: DragEvent): void => {
    const to = event.relatedTarget;
    if (!(to instanceof Node) || !this.#host.contains(to)) this.#setOver(false);
  };

  #onDrop = (event: DragEvent): void => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    this.#setOver(false);
    const items = event.dataTransfer?.items;
    if (items !== undefined && hasFolder(items)) void collectDroppedFiles(items).then(this.#onFolder);
    else this.#onFiles(imageFiles(event.dataTransfer));
  };

  #setOver(isOver: boolean): void {
    if (this.#isOver === isOver) return;
    this.#isOver = isOver;
    this.#host.requestUpdate();
  }
}

function hasFolder(items: DataTransferItemList): boolean {
  return [...items].some((item) => item.webkitGetAsEntry()?.isDirectory ?? false);
}
