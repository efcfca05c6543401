type PickDirectory = (options?: { mode?: 'read' | 'readwrite' }) => Promise<FileSystemDirectoryHandle>;

/** Chrome and Edge only. */
function getPicker(): PickDirectory | undefined {
  return (window as { readonly showDirectoryPicker?: PickDirectory }).showDirectoryPicker;
}

/** True where a folder can be written to. */
export function canWriteFolders(): boolean {
  return getPicker() !== undefined;
}

/** Lets the user choose a folder to write into; null where it was cancelled. */
export async function pickFolderToWrite(): Promise<FileSystemDirectoryHandle | null> {
  return (await getPicker()?.({ mode: 'readwrite' }).catch(nullIfCancelled)) ?? null;
}

/** Lets the user choose a folder to read; null where it was cancelled. */
export async function pickFolder(): Promise<FileSystemDirectoryHandle | readonly File[] | null> {
  const pick = getPicker();
  if (pick !== undefined) return pick().catch(nullIfCancelled);
  const input = document.createElement('input');
  input.type = 'file';
  input.webkitdirectory = true;
  return new Promise((resolve) => {
    input.addEventListener('change', () => resolve([...(input.files ?? [])]), { once: true });
    input.addEventListener('cancel', () => resolve(null), { once: true });
    input.click();
  });
}

function nullIfCancelled(error: unknown): null {
  if (error instanceof DOMException && error.name === 'AbortError') return null;
  throw error;
}
