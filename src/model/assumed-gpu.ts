import type { Capabilities } from '../gpu/capabilities.ts';

/** What Chrome reports of a discrete NVIDIA GPU: plans differ with the device, and this is the common one. */
export const ASSUMED_GPU: Capabilities = {
  adapter: { vendor: 'nvidia', architecture: '', device: '', description: '' },
  isSoftware: false,
  limits: {
    maxBufferBytes: 2 ** 32 - 4,
    maxBindingBytes: 2 ** 31 - 4,
    maxStorageBuffers: 16,
    maxWorkgroupStorageBytes: 48 * 1024,
    maxWorkgroupInvocations: 1024,
    maxWorkgroupsPerDimension: 65535,
    bindingAlignment: 256,
  },
  hasShaderF16: false,
  hasSubgroups: true,
  subgroupSizes: { min: 32, max: 32 },
  hasTimestamps: true,
  hasInt8Dot: true,
  hasSubgroupMatrix: false,
};
