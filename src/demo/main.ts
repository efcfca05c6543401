import '../index.ts';
import type { ChatExample } from '../index.ts';
import { followLaunches } from './launches.ts';
import { watchUpdates } from './updates.ts';

/** Screens that the embedded small model knows, in the two languages that it speaks. */
const EXAMPLES: Readonly<Record<'en' | 'zh', readonly ChatExample[]>> = {
  en: [
    { text: 'Open Maps', image: sample('home') },
    { text: 'Open Settings and tap Language', image: sample('home-search') },
    { text: 'Tap Cancel', image: sample('dialog'), currentApp: 'App Store' },
  ],
  zh: [
    { text: '打开地图', image: sample('home-zh') },
    { text: '打开计算器', image: sample('apps-zh') },
    { text: '点击确定', image: sample('dialog-zh'), currentApp: '短信' },
  ],
};

function sample(name: string): string {
  return new URL(`samples/${name}.png`, document.baseURI).href;
}

/** `?locale=zh`, `?theme=dark` and `?model=…` try another setting without another page. */
function start(): void {
  const chat = document.querySelector('autoglm-chat');
  if (chat === null) return;
  const asked = new URLSearchParams(location.search);
  const locale = asked.get('locale') ?? navigator.language;
  const theme = asked.get('theme');
  const model = asked.get('model');
  document.documentElement.lang = locale;
  chat.locale = locale;
  if (model !== null) chat.model = model;
  if (theme === 'light' || theme === 'dark') chat.theme = theme;
  chat.examples = locale.startsWith('zh') ? EXAMPLES.zh : EXAMPLES.en;
  followLaunches(chat);
  void watchUpdates(chat);
}

start();
