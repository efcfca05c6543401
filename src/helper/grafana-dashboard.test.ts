import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startHelper } from './running-helper.test-support.ts';

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

const dashboard = JSON.parse(
  readFileSync(new URL('grafana-dashboard.json', import.meta.url), 'utf8'),
) as Dashboard;
const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

describe('the Grafana dashboard', () => {
  it('asks for metrics that /metrics has, and for all of the helper', async () => {
    await using helper = await startHelper();
    await helper.chat({ messages: [{ role: 'user', content: 'hello' }] });
    await helper.ask({ path: '/v1/models' });
    const { text } = await helper.ask({
      path: '/metrics',
      headers: { authorization: `Bearer ${helper.key}` },
    });
    const exposed = new Set([...text.matchAll(/^(\w+)(?:\{[^}]*\})? /gm)].map(([, name]) => name));
    const asked = new Set(
      expressions.flatMap((expr) => expr.match(/\b(?:autoglm|process|nodejs)_\w+/g) ?? []),
    );
    expect([...asked].filter((name) => !exposed.has(name))).toEqual([]);
    const own = [...exposed].filter((name) => name?.startsWith('autoglm_') && !/_(sum|count)$/.test(name));
    expect(own.filter((name) => !asked.has(name as string))).toEqual([]);
  });

  it('has a title and a query for every panel', () => {
    expect(dashboard.panels.length).toBeGreaterThan(6);
    for (const { title, targets } of dashboard.panels) {
      expect(title).not.toBe('');
      expect(targets.length).toBeGreaterThan(0);
    }
  });
});
