const TYPES = {
  json: { type: 'application/json', extension: 'json' },
  markdown: { type: 'text/markdown', extension: 'md' },
} as const;

/** Lets the browser save a text as a file. */
export function saveFile(text: string, format: keyof typeof TYPES): void {
  const { type, extension } = TYPES[format];
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `autoglm-${new Date().toISOString().slice(0, 10)}.${extension}`;
  link.click();
  // The download has its own hold on the blob once it has begun.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
