import { matmul } from './matmul.ts';
import { describeMatmul } from './matmul-parity.test-support.ts';

describeMatmul('Matmul', matmul);
