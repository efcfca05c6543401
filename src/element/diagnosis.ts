import type { ErrorCode } from '../base/errors.ts';
import type { StringKey } from './strings/localizer.ts';

/** What is known of the browser; read once, so that every rule below is plain data. */
export interface BrowserFacts {
  readonly browser: 'chromium' | 'firefox' | 'safari' | 'other';
  readonly system: 'windows' | 'macos' | 'linux' | 'android' | 'ios' | 'other';
  /** Major version of the browser; 0 while unknown. */
  readonly version: number;
  /** WebGPU exists only in secure contexts: https, or http on localhost. */
  readonly isSecure: boolean;
  /** `navigator.gpu` is there. */
  readonly hasWebGpu: boolean;
}

/** A fault in plain words: what is wrong, and what to do, in order. */
export interface Diagnosis {
  readonly title: StringKey;
  readonly steps: readonly StringKey[];
}

/** What to do about a load that failed. The error's own message is shown beside it. */
export function diagnose(code: ErrorCode, facts: BrowserFacts): Diagnosis {
  switch (code) {
    case 'webgpu-unavailable':
      return diagnoseWebGpu(facts);
    case 'device-lost':
      return { title: 'gpuLost', steps: ['gpuLostCure', 'updateDriver'] };
    case 'out-of-memory':
    case 'limit-exceeded':
      return { title: 'noMemory', steps: ['closeTabs', 'smallerContext'] };
    case 'network':
    case 'cors':
    case 'http-status':
    case 'http-not-bytes':
      return { title: 'downloadFailed', steps: ['checkConnection'] };
    case 'file-missing':
    case 'shard-missing':
    case 'shard-truncated':
    case 'shard-corrupt':
      return { title: 'filesBroken', steps: ['retryFetchesAgain'] };
    case 'quota-exceeded':
    case 'storage-unavailable':
      return { title: 'noStorage', steps: ['freeStorage', 'noPrivateWindow'] };
    case 'helper-unreachable':
      return { title: 'helperGone', steps: ['startHelper', ...localSteps(facts)] };
    case 'helper-unlinked':
      return { title: 'helperNeeded', steps: localSteps(facts) };
    case 'helper-blocked':
      return {
        title: 'helperBlocked',
        steps: facts.browser === 'safari' ? localSteps(facts) : ['allowLocal'],
      };
    default:
      return { title: 'loadFailed', steps: [] };
  }
}

const UNKNOWN_BROWSER: BrowserFacts = {
  browser: 'other',
  system: 'other',
  version: 0,
  isSecure: true,
  hasWebGpu: true,
};

/** What went wrong, where that can be said without knowing the browser; null for what only its message tells. */
export function titleOfFault(code: ErrorCode): StringKey | null {
  const { title } = diagnose(code, UNKNOWN_BROWSER);
  return title === 'loadFailed' ? null : title;
}

/** What to do where the model runs on the processor although a GPU may be there. */
export function diagnoseSoftware(facts: BrowserFacts): Diagnosis {
  return { title: 'softwareTitle', steps: [...accelerationSteps(facts), ...chooseGpuSteps(facts)] };
}

/** What stands between a page and a program on the same machine, where it is not Chrome's own question. */
function localSteps({ browser }: BrowserFacts): readonly StringKey[] {
  if (browser === 'safari') return ['useChromeForHelper'];
  return browser === 'firefox' ? ['firefoxMayAsk'] : [];
}

function diagnoseWebGpu(facts: BrowserFacts): Diagnosis {
  if (!facts.isSecure) return { title: 'notSecure', steps: ['useHttps'] };
  if (!facts.hasWebGpu) return { title: 'noWebGpu', steps: updateSteps(facts) };
  return {
    title: 'noAdapter',
    steps: [...accelerationSteps(facts), ...chooseGpuSteps(facts), 'updateDriver'],
  };
}

/** First version with WebGPU turned on, by browser and system. */
function updateSteps({ browser, system, version }: BrowserFacts): readonly StringKey[] {
  if (system === 'ios') return ['updateIos'];
  if (browser === 'safari') return ['updateSafari'];
  if (browser === 'firefox')
    return system === 'linux' || system === 'android' ? ['useChrome'] : ['updateFirefox'];
  if (browser === 'chromium' && system === 'android')
    return version < 121 ? ['updateChromeAndroid'] : ['androidTooOld'];
  if (browser === 'chromium' && system === 'linux') return ['linuxFlag', 'updateChrome'];
  return browser === 'chromium' ? ['updateChrome'] : ['useChrome'];
}

function accelerationSteps({ browser, system }: BrowserFacts): readonly StringKey[] {
  if (system === 'android' || system === 'ios') return ['restartBrowser'];
  if (browser === 'chromium') return system === 'linux' ? ['acceleration', 'linuxFlag'] : ['acceleration'];
  return browser === 'firefox' ? ['accelerationFirefox'] : ['restartBrowser'];
}

function chooseGpuSteps({ system }: BrowserFacts): readonly StringKey[] {
  if (system === 'windows') return ['chooseGpuWindows'];
  if (system === 'macos') return ['chooseGpuMac'];
  return system === 'linux' ? ['chooseGpuLinux'] : [];
}

interface UserAgentData {
  readonly platform: string;
  readonly brands: readonly { readonly brand: string; readonly version: string }[];
}

type NavigatorFacts = Pick<Navigator, 'userAgent' | 'maxTouchPoints'> & {
  readonly gpu?: unknown;
  readonly userAgentData?: UserAgentData;
};

/** Reads the browser's name and system: only for advice, never to decide what is tried. */
export function readBrowserFacts(navigator: NavigatorFacts, isSecure: boolean): BrowserFacts {
  const { userAgent } = navigator;
  const chromium = navigator.userAgentData?.brands.find(({ brand }) => brand === 'Chromium');
  const system = readSystem(navigator);
  const match = /(Chrom(?:e|ium)|Firefox|Version)\/(\d+)/.exec(userAgent);
  const browser =
    chromium !== undefined || match?.[1]?.startsWith('Chrom')
      ? 'chromium'
      : match?.[1] === 'Firefox'
        ? 'firefox'
        : match?.[1] === 'Version' || system === 'ios'
          ? 'safari'
          : 'other';
  return {
    browser,
    system,
    version: Number(chromium?.version ?? match?.[2] ?? 0),
    isSecure,
    hasWebGpu: navigator.gpu !== undefined && navigator.gpu !== null,
  };
}

function readSystem({ userAgent, maxTouchPoints }: NavigatorFacts): BrowserFacts['system'] {
  if (/Android/.test(userAgent)) return 'android';
  // An iPad calls itself a Mac, but no Mac has a touch screen.
  if (/iPhone|iPad|iPod/.test(userAgent) || (/Mac/.test(userAgent) && maxTouchPoints > 1)) return 'ios';
  if (/Mac/.test(userAgent)) return 'macos';
  if (/Windows/.test(userAgent)) return 'windows';
  return /Linux|X11|CrOS/.test(userAgent) ? 'linux' : 'other';
}
