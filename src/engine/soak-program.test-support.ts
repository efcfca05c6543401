/**
 * The soak of `soak.gpu.test.ts` as a program for a machine that has nothing but Node and the package `webgpu`:
 * `node soak.mjs [requests] [seed]`. Exit code 1 when an answer was wrong or something was left behind.
 */
import { openSoakEngine } from './soak-engine.test-support.ts';
import { findLeaks, soak } from './soak.test-support.ts';

const [requests = '10000', seed = '1'] = process.argv.slice(2);
const count = Number(requests);
const engine = await openSoakEngine();
console.log(`${count} requests, seed ${seed}, on ${engine.info.adapter}`);

const report = await soak(engine, { count, seed: Number(seed), parallel: 8, poolSize: 24 });
const { complete, aborted, left, interrupted, faults, gpuBytes, heapBytes, heldSlots, ...rest } = report;
const { device } = engine.model;
await engine.unload();

const leaks = findLeaks(report);
if (device.allocatedBytes > 0) leaks.push(`${device.allocatedBytes} bytes on the GPU after unload()`);
const atBoth = ([early, late]: readonly [number, number]): string =>
  `${early} after ${Math.ceil(count / 10)}, ${late} after ${count}`;
console.log(`requests:      ${complete + aborted + left + interrupted + faults.length}`);
console.log(`answered:      ${complete}`);
console.log(
  `aborted:       ${aborted} by their signal, ${left} left by their reader, ${interrupted} interrupted`,
);
console.log(
  `faults:        ${faults.length}${faults
    .slice(0, 10)
    .map((fault) => `\n  ${fault}`)
    .join('')}`,
);
console.log(`GPU bytes:     ${atBoth(gpuBytes)}, ${device.allocatedBytes} after unload()`);
console.log(`heap bytes:    ${atBoth(heapBytes)}`);
console.log(`KV slots held: ${atBoth(heldSlots)}`);
console.log(`cached tokens: ${rest.cachedTokens}`);
console.log(`metrics:       ${rest.metricsCount}`);
console.log(`seconds:       ${rest.seconds.toFixed(1)}`);
console.log(leaks.length === 0 ? 'leaks:         none' : `leaks:         ${leaks.join(', ')}`);
// Dawn's threads would keep the process.
process.exit(faults.length > 0 || leaks.length > 0 ? 1 : 0);
