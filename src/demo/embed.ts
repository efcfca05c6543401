import '../index.ts';

/** Shows each template as text, and beside it puts what it says into the page. */
for (const template of document.querySelectorAll('template')) {
  const pair = document.createElement('div');
  pair.className = 'pair';
  const code = document.createElement('pre');
  // Scrolls sideways, and so has to be reached with the keyboard.
  code.tabIndex = 0;
  code.setAttribute('role', 'region');
  const heading = template.parentElement?.querySelector('h2')?.textContent ?? '';
  code.setAttribute('aria-label', `Code: ${heading}`);
  code.textContent = withoutIndent(template.innerHTML);
  const live = document.createElement('div');
  live.className = 'live';
  live.append(template.content.cloneNode(true));
  // This page has the element already, from its own build.
  live.querySelector('script[src]')?.remove();
  pair.append(code, live);
  template.after(pair);
}

function withoutIndent(text: string): string {
  const lines = text.replace(/^\n+|\s+$/g, '').split('\n');
  const indents = lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/));
  const indent = Math.min(...indents);
  return lines.map((line) => line.slice(indent)).join('\n');
}
