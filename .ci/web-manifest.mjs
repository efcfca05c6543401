/** What browsers and systems are told of the app. */

const IMAGES = { 'image/png': ['.png'], 'image/jpeg': ['.jpg', '.jpeg'], 'image/webp': ['.webp'] };

/** @param {string} name @returns {{ src: string, sizes: string, type: string }[]} */
function shortcutIcon(name) {
  return [{ src: `./icons/${name}-96.png`, sizes: '96x96', type: 'image/png' }];
}

/** @type {Partial<import('vite-plugin-pwa').ManifestOptions>} */
export const WEB_MANIFEST = {
  id: './',
  name: 'AutoGLM',
  short_name: 'AutoGLM',
  description: 'A phone agent that runs on this device: screenshots in, actions out. Nothing is sent.',
  lang: 'en',
  start_url: './',
  scope: './',
  display: 'standalone',
  background_color: '#fbfbfa',
  theme_color: '#1f6f5c',
  categories: ['productivity', 'utilities'],
  icons: [
    { src: './icons/icon-192.png', sizes: '192x192', type: 'image/png' },
    { src: './icons/icon-512.png', sizes: '512x512', type: 'image/png' },
    { src: './icons/maskable-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
    { src: './icon.svg', sizes: 'any', type: 'image/svg+xml' },
  ],
  shortcuts: [
    { name: 'New chat', url: './?new', icons: shortcutIcon('new-chat') },
    { name: 'Saved conversations', url: './?history', icons: shortcutIcon('history') },
  ],
  // What is opened gets a window of its own, so that no conversation is disturbed.
  launch_handler: { client_mode: 'navigate-new' },
  share_target: {
    action: './share',
    method: 'POST',
    enctype: 'multipart/form-data',
    params: {
      title: 'title',
      text: 'text',
      url: 'url',
      files: [{ name: 'images', accept: Object.keys(IMAGES) }],
    },
  },
  file_handlers: [{ action: './', accept: IMAGES }],
};
