import { describeAdapter } from '../gpu/capabilities.ts';
import { openNodeDevice } from '../gpu/webgpu-node.ts';
import { loadGoldenModel, readGoldenConfig } from '../model/golden-model.test-support.ts';
import { Scheduler } from '../model/scheduler.ts';
import { PLAIN_DEFAULTS } from '../sampling/generation-config.ts';
import { LocalEngine } from './local-engine.ts';

const CONTEXT = 128;
const SLOTS = 4;

/** An engine on a reference model in f32, whose tokens do not depend on what runs beside them. */
export async function openSoakEngine(): Promise<LocalEngine> {
  const device = await openNodeDevice({ toggles: ['disable_workgroup_init'] });
  const { capabilities } = device;
  const request = { context: CONTEXT, slots: SLOTS, prefillChunk: 16 };
  const model = await loadGoldenModel(device, 'glm4v-a', 'q0f32', request);
  return new LocalEngine({
    model,
    scheduler: await Scheduler.create(model, {
      stepsInFlight: capabilities.isSoftware ? 2 : 4,
      speculation: 'on',
    }),
    texts: {
      config: await readGoldenConfig('glm4v-a'),
      generation: PLAIN_DEFAULTS,
      tokenizer: undefined,
      preprocessor: undefined,
    },
    info: {
      model: 'glm4v-a',
      backend: 'webgpu',
      adapter: describeAdapter(capabilities),
      isSoftware: capabilities.isSoftware,
      contextWindow: CONTEXT,
      gpuBytes: device.allocatedBytes,
      quantization: 'q0f32',
    },
    decodeImage: () => Promise.reject(new Error('no image is decoded here')),
    fingerprint: 'glm4v-a',
    loadXGrammar: () => Promise.reject(new Error('no grammar is compiled here')),
  });
}
