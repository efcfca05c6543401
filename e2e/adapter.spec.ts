/** Checks that the browser's WebGPU adapter is the kind that the project is about, and puts it into the report. */
import { expect, test, type Page } from '@playwright/test';

type AdapterReport = {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  isSoftware: boolean;
  features: string[];
  limits: Record<string, number>;
};

test('the adapter is of the kind that this project tests', async ({ page }, testInfo) => {
  await openEmptyPage(page);
  const adapter = await page.evaluate(describeAdapter);
  await testInfo.attach('adapter.json', {
    body: JSON.stringify(adapter, undefined, 2),
    contentType: 'application/json',
  });
  console.log(`WebGPU in the browser: ${JSON.stringify({ ...adapter, limits: undefined })}`);

  expect(adapter, 'no WebGPU adapter, also when asked twice').not.toBeNull();
  expect(adapter?.isSoftware, JSON.stringify(adapter)).toBe(testInfo.project.name.startsWith('software'));
});

test('the adapter computes', async ({ page }) => {
  await openEmptyPage(page);
  expect(await page.evaluate(doubleOnTheAdapter, [1, 2, 3, 4])).toEqual([2, 4, 6, 8]);
});

/** A page of the test's own: the product's page would compete for the adapter. */
async function openEmptyPage(page: Page): Promise<void> {
  await page.route('**/adapter-check', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<p></p>' }),
  );
  await page.goto('/adapter-check');
}

/** Runs in the page, so it may use nothing from outside itself. */
async function describeAdapter(): Promise<AdapterReport | null> {
  // A page's first request may come back empty although there is an adapter.
  const adapter =
    (await navigator.gpu?.requestAdapter()) ??
    (await new Promise((resolve) => setTimeout(resolve, 500)).then(() => navigator.gpu?.requestAdapter()));
  if (!adapter) return null;
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const limits: Record<string, number> = {};
  // Limits are getters of the prototype, which only `in` enumerates.
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  return {
    vendor,
    architecture,
    device,
    description,
    isSoftware: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(`${architecture} ${description}`),
    features: [...adapter.features].toSorted(),
    limits,
  };
}

/** Runs in the page: an adapter that opens but cannot run a shader is no adapter. */
async function doubleOnTheAdapter(values: number[]): Promise<number[]> {
  const adapter =
    (await navigator.gpu.requestAdapter()) ??
    (await new Promise((resolve) => setTimeout(resolve, 500)).then(() => navigator.gpu.requestAdapter()));
  if (!adapter) throw new Error('no adapter');
  const device = await adapter.requestDevice();
  const module = device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> values: array<f32>;
      @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) { values[id.x] *= 2.0; }`,
  });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const byteLength = values.length * 4;
  const storage = device.createBuffer({
    size: byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const readback = device.createBuffer({
    size: byteLength,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(storage, 0, new Float32Array(values));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: storage } }],
    }),
  );
  pass.dispatchWorkgroups(values.length);
  pass.end();
  encoder.copyBufferToBuffer(storage, 0, readback, 0, byteLength);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(GPUMapMode.READ);
  const doubled = [...new Float32Array(readback.getMappedRange())];
  device.destroy();
  return doubled;
}
