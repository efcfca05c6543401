/** What the system opens the app with: a shortcut, shared screenshots, or image files. */
import type { AutoglmChat } from '../index.ts';
import { takeIncoming } from './incoming-files.ts';

interface LaunchParams {
  readonly targetURL?: string;
  readonly files?: readonly { getFile(): Promise<File> }[];
}

interface LaunchQueue {
  setConsumer(consumer: (params: LaunchParams) => void): void;
}

/** Follows this launch, and those that reach the open page later. */
export function followLaunches(chat: AutoglmChat): void {
  void follow(chat, location.href);
  const { launchQueue } = window as { readonly launchQueue?: LaunchQueue };
  launchQueue?.setConsumer(({ targetURL, files = [] }) => {
    void Promise.all(files.map((file) => file.getFile())).then((images) =>
      images.length > 0 ? chat.compose({ images }) : undefined,
    );
    if (targetURL !== undefined && targetURL !== location.href) void follow(chat, targetURL);
  });
}

async function follow(chat: AutoglmChat, url: string): Promise<void> {
  const asked = new URL(url).searchParams;
  if (asked.has('new')) chat.reset();
  if (asked.has('history')) await chat.showHistory();
  const { text, files } = await takeIncoming();
  if (text !== '' || files.length > 0) await chat.compose({ text, images: files });
}
