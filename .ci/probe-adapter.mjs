/** Prints Node's default WebGPU adapter as one line of JSON, `null` when there is none. A process of its own,
 * because Dawn reads the driver's variables only once. */
import { create } from 'webgpu';

/** Mesa's software adapter does not call itself a fallback. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i;

const adapter = await create([]).requestAdapter();
const info = adapter?.info;
console.log(
  JSON.stringify(
    info
      ? {
          vendor: info.vendor,
          architecture: info.architecture,
          description: info.description,
          software: info.isFallbackAdapter || SOFTWARE.test(`${info.architecture} ${info.description}`),
        }
      : null,
  ),
);
// Dawn keeps its threads, and with them the process, alive.
process.exit(0);
