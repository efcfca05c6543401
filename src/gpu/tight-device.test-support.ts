import { AutoglmError } from '../base/errors.ts';
import type { Capabilities } from './capabilities.ts';
import type { BufferDescriptor, Device, DeviceBuffer } from './device.ts';

/** A device that has no room for more than so many bytes at a time; what it was asked for is noted. */
export interface TightDevice extends Device {
  budgetBytes: number;
  /** Buffers that were made, by label. */
  readonly created: string[];
}

/**
 * Refuses buffers as a full GPU does: with the error of the out-of-memory scope. It may say of itself what another
 * device would: plans are made by that.
 */
export function createTightDevice(
  device: Device,
  budgetBytes: number,
  claims: Partial<Capabilities> = {},
): TightDevice {
  const created: string[] = [];
  const own = {
    budgetBytes,
    created,
    capabilities: { ...device.capabilities, ...claims },
    async createBuffer(descriptor: BufferDescriptor): Promise<DeviceBuffer> {
      if (device.allocatedBytes + descriptor.byteLength > own.budgetBytes) {
        throw new AutoglmError('out-of-memory', `The GPU has no room for buffer "${descriptor.label}".`, {
          value: descriptor.byteLength,
        });
      }
      created.push(descriptor.label);
      return device.createBuffer(descriptor);
    },
  };
  return new Proxy(device, {
    get(_, key) {
      if (key in own) return own[key as keyof typeof own];
      const value: unknown = Reflect.get(device, key, device);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(device) : value;
    },
    set(_, key, value) {
      return Reflect.set(own, key, value);
    },
  }) as TightDevice;
}
