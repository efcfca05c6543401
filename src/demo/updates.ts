/** New versions of the app: told, and taken when the person says so and no answer is being written. */
import type { AutoglmChat } from '../index.ts';
import { keepIncoming } from './incoming-files.ts';
import { SKIP_WAITING } from './update-messages.ts';

const HOUR_MS = 3_600_000;

const WORDS = {
  en: {
    ready: 'A new version is ready.',
    updated: 'Another window took a new version.',
    waiting: 'Reloads after this answer…',
    reload: 'Reload',
    later: 'Later',
  },
  zh: {
    ready: '新版本已就绪。',
    updated: '另一个窗口已更新到新版本。',
    waiting: '回答结束后重新加载…',
    reload: '重新加载',
    later: '稍后',
  },
} as const;

/** Keeps the app's files for the next time and looks for new ones. */
export async function watchUpdates(chat: AutoglmChat): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  const { serviceWorker } = navigator;
  let isControlled = serviceWorker.controller !== null;
  const registration = await serviceWorker.register(new URL('service-worker.js', document.baseURI));
  const prompt = new UpdatePrompt(chat, registration);
  serviceWorker.addEventListener('controllerchange', () => {
    // The first version of all takes the page that brought it, which is no update.
    if (isControlled) prompt.onTaken();
    isControlled = true;
  });
  const offer = () => {
    if (registration.waiting !== null && serviceWorker.controller !== null) prompt.show('ready');
  };
  offer();
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', offer);
  });
  const look = () => void registration.update().catch(() => {});
  setInterval(look, HOUR_MS);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) look();
  });
}

class UpdatePrompt {
  readonly #chat: AutoglmChat;
  readonly #registration: ServiceWorkerRegistration;
  readonly #words = document.documentElement.lang.startsWith('zh') ? WORDS.zh : WORDS.en;
  readonly #box = document.createElement('div');
  #isWanted = false;

  constructor(chat: AutoglmChat, registration: ServiceWorkerRegistration) {
    this.#chat = chat;
    this.#registration = registration;
    this.#box.className = 'update';
    this.#box.setAttribute('role', 'status');
    document.body.append(this.#box);
  }

  show(what: 'ready' | 'updated'): void {
    const text = document.createElement('span');
    text.textContent = this.#words[what];
    this.#box.replaceChildren(
      text,
      this.#createButton(this.#words.reload, () => void this.#take()),
      this.#createButton(this.#words.later, () => this.#box.replaceChildren()),
    );
  }

  /** This page's own wish is followed at once; another page's leaves this one and its conversation alone. */
  onTaken(): void {
    if (this.#isWanted) location.reload();
    else this.show('updated');
  }

  async #take(): Promise<void> {
    if (this.#chat.matches(':state(streaming)')) {
      this.#box.replaceChildren(this.#words.waiting);
      await this.#untilSettled();
    }
    await this.#chat.saved;
    const { text, images } = this.#chat.draft;
    const files = images.map((image, index) => new File([image], `draft-${index}`, { type: image.type }));
    await keepIncoming({ text, files });
    this.#isWanted = true;
    const { waiting } = this.#registration;
    if (waiting === null) location.reload();
    else waiting.postMessage(SKIP_WAITING);
  }

  async #untilSettled(): Promise<void> {
    while (this.#chat.matches(':state(streaming)')) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  #createButton(label: string, onClick: () => void): HTMLButtonElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.addEventListener('click', onClick);
    return button;
  }
}
