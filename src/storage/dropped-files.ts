/**
 * All files of a drop, with those of dropped folders. Call it inside the `drop` handler: the browser empties
 * the list as soon as the handler returns.
 */
export async function collectDroppedFiles(items: DataTransferItemList): Promise<File[]> {
  const dropped = [...items].filter((item) => item.kind === 'file');
  const nested = await Promise.all(dropped.map(collectItem));
  return nested.flat();
}

/** Not asynchronous itself: the item is only valid now. */
function collectItem(item: DataTransferItem): Promise<File[]> {
  const entry = item.webkitGetAsEntry();
  if (entry !== null) return collectEntry(entry);
  const file = item.getAsFile();
  return Promise.resolve(file === null ? [] : [file]);
}

async function collectEntry(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) return [await readFile(entry as FileSystemFileEntry)];
  const children = await readChildren((entry as FileSystemDirectoryEntry).createReader());
  const nested = await Promise.all(children.map(collectEntry));
  return nested.flat();
}

function readFile(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A directory reader hands out at most a hundred entries at a time. */
async function readChildren(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  const children: FileSystemEntry[] = [];
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (batch.length === 0) return children;
    children.push(...batch);
  }
}
