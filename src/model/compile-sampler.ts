import { adjustLogits } from '../kernels/adjust-logits.ts';
import { sampleToken } from '../kernels/sample-token.ts';
import { samplerByteLengths } from '../kernels/sampler-prelude.ts';
import type { CompileOptions } from './compile-options.ts';
import type { TextConfig } from './config.ts';
import { PlanBuilder, type Plan } from './plan.ts';
import { RESULT_RING } from './result-ring.ts';
import { mostColumns, TEXT_BUFFERS } from './text-buffers.ts';

/** Where the rows of the sampled logits are: those of a decode step, or the one of a prefill. */
export type SampledRows = (typeof TEXT_BUFFERS)['decodeRows' | 'firstRow'];

/** The choice of one token for each of the first `columns` rows of logits. */
export function compileSampler(
  { V }: Pick<TextConfig, 'V'>,
  options: CompileOptions,
  columns: number,
  rowsBuffer: SampledRows = TEXT_BUFFERS.decodeRows,
): Plan {
  const { slots, sampleWorkgroup: workgroup } = options;
  const builder = new PlanBuilder(`sample x${columns}`);
  // At the largest size at once: a buffer made anew would lose the state of running answers.
  const bytes = samplerByteLengths({ V, batch: mostColumns(options), slots, ring: RESULT_RING });
  const buffer = (name: keyof typeof bytes): { buffer: string } =>
    builder.buffer(`sampler.${name}`, bytes[name] / 4);
  const logits = builder.buffer(TEXT_BUFFERS.logits, columns * V);
  const rows = { buffer: rowsBuffer };
  const [settings, counts, adjusted, chunks] = (['settings', 'counts', 'adjusted', 'chunks'] as const).map(
    buffer,
  );
  const common = { batch: columns, V, workgroup, settings, logits, counts, rows, adjusted, chunks };
  builder.add(
    adjustLogits({ ...common, label: 'adjust-logits', bias: buffer('bias'), mask: buffer('mask') }),
    sampleToken({
      ...common,
      label: 'sample-token',
      ring: RESULT_RING,
      results: buffer('results'),
      candidates: buffer('candidates'),
    }),
  );
  return builder.build();
}
