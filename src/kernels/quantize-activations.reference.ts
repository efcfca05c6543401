/** CPU twin of `quantize-activations.wgsl`: x [rows, K] to the values that its digits stand for. */
export { roundToInt8Digits as quantizeActivationsReference } from './int8-activations.reference.ts';
