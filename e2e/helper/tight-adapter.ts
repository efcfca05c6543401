import type { Page } from '@playwright/test';

/**
 * Makes the page's and its workers' adapter an NVIDIA GPU, by what it says, that grants a tab almost nothing. Only
 * what is reported changes: whether the model fits is decided by the product.
 */
export async function tightenAdapter(page: Page): Promise<void> {
  await page.addInitScript(tighten);
  // Init scripts do not reach workers, so it goes into the worker's own script.
  await page.route(/engine-worker\.ts/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `(${tighten.toString()})();\n${await response.text()}` });
  });
}

/** Runs in the page and in the worker, so it may use nothing from outside itself. */
function tighten(): void {
  const LIMITS: Readonly<Record<string, number>> = {
    maxBufferSize: 256 * 1024,
    maxStorageBufferBindingSize: 128 * 1024,
  };
  const INFO: Readonly<Record<string, unknown>> = {
    vendor: 'nvidia',
    architecture: '',
    description: '',
    device: '',
    isFallbackAdapter: false,
  };
  const overlay = <T extends object>(target: T, values: Readonly<Record<string, unknown>>): T =>
    new Proxy(target, {
      get: (object, name) => (name in values ? values[name as string] : Reflect.get(object, name, object)),
    });
  const replace = (object: object, name: string, value: unknown): void =>
    void Object.defineProperty(object, name, { value });
  const { GPU } = globalThis as unknown as { readonly GPU: { prototype: GPU } };
  const requestAdapter = GPU.prototype.requestAdapter;
  GPU.prototype.requestAdapter = async function (options) {
    const adapter = await requestAdapter.call(this, options);
    if (adapter === null) return null;
    replace(adapter, 'limits', overlay(adapter.limits, LIMITS));
    replace(adapter, 'info', overlay(adapter.info, INFO));
    const requestDevice = adapter.requestDevice.bind(adapter);
    replace(adapter, 'requestDevice', async (descriptor: GPUDeviceDescriptor) => {
      const device = await requestDevice(descriptor);
      replace(device, 'limits', overlay(device.limits, LIMITS));
      return device;
    });
    return adapter;
  };
}
