import { matmulDirect } from './matmul-direct.ts';
import { describeMatmul } from './matmul-parity.test-support.ts';

describeMatmul('MatmulDirect', matmulDirect);
