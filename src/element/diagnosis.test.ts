import { describe, expect, it } from 'vitest';
import { diagnose, diagnoseSoftware, readBrowserFacts } from './diagnosis.ts';
import type { BrowserFacts } from './diagnosis.ts';

const FACTS: BrowserFacts = {
  browser: 'chromium',
  system: 'windows',
  version: 130,
  isSecure: true,
  hasWebGpu: false,
};

const AGENTS = {
  chromeWindows:
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36',
  chromeAndroid:
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36',
  firefoxLinux: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  safariMac:
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15',
} as const;

describe('readBrowserFacts', () => {
  it.each([
    ['chromeWindows', 0, { browser: 'chromium', system: 'windows', version: 109 }],
    ['chromeAndroid', 5, { browser: 'chromium', system: 'android', version: 120 }],
    ['firefoxLinux', 0, { browser: 'firefox', system: 'linux', version: 140 }],
    ['safariMac', 0, { browser: 'safari', system: 'macos', version: 17 }],
    ['safariMac', 5, { browser: 'safari', system: 'ios' }],
  ] as const)('knows %s with %i touch points', (agent, maxTouchPoints, expected) => {
    expect(readBrowserFacts({ userAgent: AGENTS[agent], maxTouchPoints }, true)).toMatchObject(expected);
  });

  it('tells whether WebGPU is there', () => {
    const navigator = { userAgent: AGENTS.chromeWindows, maxTouchPoints: 0 };
    expect(readBrowserFacts(navigator, true).hasWebGpu).toBe(false);
    expect(readBrowserFacts({ ...navigator, gpu: {} }, true).hasWebGpu).toBe(true);
  });
});

describe('diagnose', () => {
  it.each<[string, Partial<BrowserFacts>, string, readonly string[]]>([
    ['an http page', { isSecure: false }, 'notSecure', ['useHttps']],
    ['an old Chrome on Windows', {}, 'noWebGpu', ['updateChrome']],
    ['Chrome on Linux', { system: 'linux' }, 'noWebGpu', ['linuxFlag', 'updateChrome']],
    ['an old Chrome on Android', { system: 'android', version: 120 }, 'noWebGpu', ['updateChromeAndroid']],
    ['a new Chrome on an old Android', { system: 'android' }, 'noWebGpu', ['androidTooOld']],
    ['Firefox on Linux', { browser: 'firefox', system: 'linux' }, 'noWebGpu', ['useChrome']],
    ['Safari', { browser: 'safari', system: 'macos' }, 'noWebGpu', ['updateSafari']],
    ['an iPhone', { browser: 'safari', system: 'ios' }, 'noWebGpu', ['updateIos']],
    [
      'Chrome on Windows without an adapter',
      { hasWebGpu: true },
      'noAdapter',
      ['acceleration', 'chooseGpuWindows', 'updateDriver'],
    ],
  ])('says what to do on %s', (_, facts, title, steps) => {
    expect(diagnose('webgpu-unavailable', { ...FACTS, ...facts })).toEqual({ title, steps });
  });

  it('has a plain title for every other fault', () => {
    expect(diagnose('internal', FACTS)).toEqual({ title: 'loadFailed', steps: [] });
    expect(diagnose('quota-exceeded', FACTS).title).toBe('noStorage');
  });

  it('names the clicks that leave the processor for the GPU', () => {
    expect(diagnoseSoftware({ ...FACTS, system: 'macos' }).steps).toEqual(['acceleration', 'chooseGpuMac']);
  });
});
