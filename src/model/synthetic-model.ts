import type { Device } from '../gpu/device.ts';
import { withRoom, type CompileRequest } from './compile-options.ts';
import { parseModelConfig } from './config.ts';
import { LanguageModel } from './language-model.ts';
import { storedArrays, weightFormat, type Quantization } from './quantization.ts';
import { createSyntheticConfig } from './synthetic.ts';
import { expectedTensors } from './tensor-names.ts';
import type { StoredTensor } from './weight-layout.ts';

/** Name under which commands and pages ask for the model of `createSyntheticModel`. */
export const SYNTHETIC_9B = 'synthetic:9b';

/** How large a synthetic model is. */
export interface SyntheticModelOptions extends CompileRequest {
  readonly quantization?: Quantization;
  /** Decoder layers; the real model has 40. */
  readonly layers?: number;
  /** Vision blocks; the real model has 24. */
  readonly blocks?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A model of AutoGLM-Phone-9B's shapes whose weights are made up on the device. */
export async function createSyntheticModel(
  device: Device,
  options: SyntheticModelOptions,
): Promise<LanguageModel> {
  const { quantization = 'q4f16_1', layers, blocks, ...request } = options;
  const config = parseModelConfig(createSyntheticConfig(layers, blocks));
  const tensors = expectedTensors(config).flatMap((tensor) =>
    storedArrays(tensor, weightFormat(tensor, quantization, 'default')).map(
      ({ name, shape, dtype }): [string, StoredTensor] => [name, { name, shape, dtype }],
    ),
  );
  return LanguageModel.load(device, {
    ...withRoom(request, device.capabilities),
    config,
    tensors: new Map(tensors),
    streamTensors: 'random',
  });
}
