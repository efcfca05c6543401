import DOMPurify from 'dompurify';

/** What Markdown itself can say; everything else is dropped and its text kept. */
const ALLOWED_TAGS =
  'p br hr h1 h2 h3 h4 h5 h6 blockquote ul ol li pre code em strong del a table thead tbody tr th td'.split(
    ' ',
  );

/** `class` carries the language of a code block; it is taken off again. */
const ALLOWED_ATTRIBUTES = ['href', 'title', 'start', 'align', 'class'];

/**
 * Untrusted HTML as safe nodes: no script, style, frame, form, image, SVG or MathML, no handlers, and only
 * http(s) links, which open in a new tab without a referrer. Nothing is fetched.
 *
 * Works under Trusted Types: allow the policy `dompurify`.
 */
export function sanitizeHtml(html: string): DocumentFragment {
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ALLOWED_ATTRIBUTES,
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    ALLOWED_URI_REGEXP: /^https?:\/\//i,
    // Without this the rule for addresses would be held against these values too.
    ADD_URI_SAFE_ATTR: ['start', 'align'],
    // The parsed document must not belong to the page: an image in it would be fetched while it is cleaned.
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll('a')) hardenLink(link);
  for (const element of fragment.querySelectorAll('[class]')) {
    if (element.localName !== 'code') element.removeAttribute('class');
  }
  return fragment;
}

function hardenLink(link: HTMLAnchorElement): void {
  if (!link.hasAttribute('href')) {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.target = '_blank';
  link.rel = 'noopener noreferrer nofollow ugc';
  link.referrerPolicy = 'no-referrer';
}
