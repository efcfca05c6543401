import { nothing } from 'lit';
import { Directive, directive } from 'lit/directive.js';
import type { ElementPart, PartInfo } from 'lit/directive.js';

/** CSS properties by name, custom ones included. */
export type CssProperties = Readonly<Record<string, string>>;

/**
 * Sets CSS properties by script. Lit's `styleMap` writes its first values as a `style` attribute, which a strict
 * content security policy forbids.
 */
class CssPropertiesDirective extends Directive {
  constructor(part: PartInfo) {
    super(part);
    if (!('element' in part)) throw new TypeError('cssProperties stands in a tag, not in an attribute.');
  }

  render(_properties: CssProperties): typeof nothing {
    return nothing;
  }

  override update(part: ElementPart, [properties]: [CssProperties]): typeof nothing {
    const { style } = part.element as HTMLElement;
    for (const [name, value] of Object.entries(properties)) style.setProperty(name, value);
    return nothing;
  }
}

export const cssProperties = directive(CssPropertiesDirective);
