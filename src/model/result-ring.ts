/** Results that a sequence keeps on the device: more than any number of steps in flight. */
export const RESULT_RING = 64;
