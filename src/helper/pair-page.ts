/** The helper's own page for linking, in three files, so that its policy can forbid everything inline. */

export const PAIR_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Link a page with AutoGLM</title>
<link rel="stylesheet" href="/pair.css">
<script type="module" src="/pair.js"></script>
</head>
<body>
<main>
<h1>AutoGLM on this computer</h1>
<section id="ask" hidden>
<p>The page</p>
<p class="origin"><bdi id="origin"></bdi></p>
<p>wants to run the model on this computer's GPU. It can send it chats and screenshots and reads the answers; it
cannot see files, other pages or other programs.</p>
<form id="form">
<label for="code">Code shown by <code>autoglm serve</code></label>
<input id="code" inputmode="numeric" autocomplete="off" pattern="[0-9]{6}" maxlength="6" required
 placeholder="000000">
<p id="fault" role="alert"></p>
<div class="buttons">
<button type="button" id="deny">Cancel</button>
<button type="submit" id="allow">Allow this page</button>
</div>
</form>
</section>
<section id="note" hidden><p id="text" role="status"></p></section>
</main>
</body>
</html>
`;

export const PAIR_STYLES = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { inline-size: min(26rem, calc(100vw - 3rem)); }
h1 { font-size: 1.25rem; }
.origin { font-weight: 600; overflow-wrap: anywhere; padding: .5rem .75rem; border-radius: .5rem;
  background: color-mix(in srgb, currentColor 8%, transparent); }
label { display: block; margin-block-end: .25rem; }
input { font: inherit; font-size: 1.5rem; letter-spacing: .3em; inline-size: 8em; padding: .25rem .5rem; }
#fault { color: light-dark(#a11, #f99); min-block-size: 1.5em; margin: .5rem 0; }
.buttons { display: flex; gap: .75rem; justify-content: flex-end; }
button { font: inherit; padding: .5rem 1rem; border-radius: .5rem; border: 1px solid #8888; background: none;
  color: inherit; cursor: pointer; }
button[type=submit] { background: #2456d6; border-color: #2456d6; color: #fff; }
`;

export const PAIR_SCRIPT = `
const asked = new URLSearchParams(location.search);
const origin = asked.get('origin') ?? '';
const state = asked.get('state') ?? '';
const back = asked.get('return') ?? '';
const show = (id) => { document.getElementById(id).hidden = false; };
const say = (text) => {
  document.getElementById('ask').hidden = true;
  document.getElementById('text').textContent = text;
  show('note');
};
const isOrigin = (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;
const isBack = URL.canParse(back) && new URL(back).origin === origin;

/** To the page that opened this one, if it still is the one that was approved; else by going back to it. */
function hand(message) {
  if (window.opener) {
    window.opener.postMessage(message, origin);
    window.close();
    say('Done. You can close this page.');
  } else if (isBack) {
    const url = new URL(back);
    url.hash = new URLSearchParams({ 'autoglm-helper': JSON.stringify(message) }).toString();
    location.replace(url);
  } else say('Allowed, but the page that asked is gone. Open it again and link once more.');
}

async function approve(event) {
  event.preventDefault();
  const fault = document.getElementById('fault');
  const allow = document.getElementById('allow');
  fault.textContent = '';
  allow.disabled = true;
  try {
    const response = await fetch('/pair/approve', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ origin, code: document.getElementById('code').value.trim() }),
    });
    const answer = await response.json();
    if (response.ok) hand({ type: 'autoglm-pair', state, ...answer });
    else fault.textContent = answer.error.message;
  } catch {
    fault.textContent = 'The helper does not answer any more.';
  }
  allow.disabled = false;
}

if (isOrigin(origin)) {
  document.getElementById('origin').textContent = origin;
  document.getElementById('form').addEventListener('submit', approve);
  document.getElementById('deny').addEventListener('click', () => {
    if (window.opener) window.close();
    else if (isBack) location.replace(back);
    say('Nothing was allowed.');
  });
  show('ask');
  document.getElementById('code').focus();
} else {
  say('The helper runs. To link a page, choose "Link the helper" on it and come back here with its name.');
}
`;
