/** Who the adapter says it is; pages get empty strings where the browser hides a field. */
export interface AdapterIdentity {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

/** Limits that the compiler plans by, as granted to the device. */
export interface DeviceLimits {
  readonly maxBufferBytes: number;
  readonly maxBindingBytes: number;
  readonly maxStorageBuffers: number;
  readonly maxWorkgroupStorageBytes: number;
  readonly maxWorkgroupInvocations: number;
  readonly maxWorkgroupsPerDimension: number;
  /** Byte alignment of a binding's offset. */
  readonly bindingAlignment: number;
}

/** Workgroup memory that every device grants. */
export const LEAST_WORKGROUP_STORAGE_BYTES = 16_384;

/** What a device can do. Plans are chosen by this report and by nothing else. */
export interface Capabilities {
  readonly adapter: AdapterIdentity;
  /** True when the adapter computes on the CPU. */
  readonly isSoftware: boolean;
  readonly limits: DeviceLimits;
  /** f16 storage and arithmetic in shaders. Chrome on Linux refuses it on NVIDIA. */
  readonly hasShaderF16: boolean;
  readonly hasSubgroups: boolean;
  /** Sizes that a subgroup may have at run time; 4 on SwiftShader, 32 on NVIDIA, up to 128 elsewhere. */
  readonly subgroupSizes: { readonly min: number; readonly max: number };
  readonly hasTimestamps: boolean;
  /** `dot4I8Packed`: a language feature that needs no device feature. */
  readonly hasInt8Dot: boolean;
  /** Chromium's experimental subgroup matrices: f16 operands of 16 x 16 with f32 sums, in subgroups of 32. */
  readonly hasSubgroupMatrix: boolean;
  /** Present on the CUDA backend, whose kernels are not WGSL. */
  readonly cuda?: { readonly computeCapability: number; readonly multiprocessors: number };
}

/** The adapter in words for a badge or a report, such as `nvidia lovelace` or `SwiftShader (software)`. */
export function describeAdapter(capabilities: Capabilities): string {
  const { vendor, architecture, device, description } = capabilities.adapter;
  const words =
    [vendor, architecture].filter((word) => word !== '').join(' ') || device || description || 'unknown GPU';
  const name = architecture === 'swiftshader' ? 'SwiftShader' : words;
  return capabilities.isSoftware ? `${name} (software)` : name;
}

/** Names an adapter in a store: equal for two devices of the same adapter and browser. */
export function adapterKey({ adapter, limits }: Capabilities): string {
  const { vendor, architecture, device, description } = adapter;
  return [vendor, architecture, device, description, limits.maxBufferBytes, limits.maxBindingBytes].join('|');
}
