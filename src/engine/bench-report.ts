import { describeAdapter } from '../gpu/capabilities.ts';
import type { LanguageModel } from '../model/language-model.ts';
import {
  AGENT_CONTEXT,
  benchAgent,
  benchModel,
  benchVision,
  profileDecode,
  SCREENSHOT,
  type AgentTimes,
  type BenchRow,
  type KernelTime,
} from './bench.ts';

/** What a bench measures, in the command and on the page. */
export interface BenchRequest {
  /** Model folder or URL, or `synthetic:9b`. */
  readonly model: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly batches: readonly number[];
  /** Contexts behind which decoding is measured without computing them. */
  readonly cachedTokens: readonly number[];
  readonly repeats: number;
  /** Encode a 1080x2400 screenshot, and take two steps of an agent with it. */
  readonly vision: boolean;
  /** Time each kernel of a decode step. */
  readonly profile: boolean;
  /** What the card copies, read plus written, in GB/s. */
  readonly copyBandwidth?: number | undefined;
}

/** A row of a report: names what was measured, so that rows of several reports can lie in one table. */
export interface ReportRow extends BenchRow {
  readonly device: 'webgpu' | 'cuda';
  readonly adapter: string;
  readonly model: string;
  readonly quant: string;
  readonly loadMs: number;
  /** `effectiveGBps` over the copy bandwidth of the card, where that was given. */
  readonly shareOfCopy?: number;
}

/** What `autoglm bench --json` and the bench page give. */
export interface BenchReport {
  readonly rows: readonly ReportRow[];
  /** Encoding one 1080x2400 screenshot at max_pixels 5,000,000. */
  readonly screenshotMs?: number;
  readonly agent?: AgentTimes;
  readonly profile?: readonly KernelTime[];
}

/** Tokens that a slot must hold for a request. */
export function benchContext({ promptTokens, outputTokens, cachedTokens, vision }: BenchRequest): number {
  const longest = Math.max(promptTokens, ...cachedTokens) + outputTokens + 1;
  return vision ? Math.max(longest, AGENT_CONTEXT) : longest;
}

/** Measures a loaded model; it needs as many slots as the largest batch. */
export async function createBenchReport(
  model: LanguageModel,
  request: BenchRequest,
  { loadMs }: { loadMs: number },
): Promise<BenchReport> {
  const { promptTokens, outputTokens, batches, cachedTokens, repeats, copyBandwidth } = request;
  const { capabilities } = model.device;
  const common = { promptTokens, outputTokens, repeats };
  const rows = await benchModel(model, { ...common, batches });
  for (const cached of cachedTokens) {
    rows.push(...(await benchModel(model, { ...common, batches: [1], cachedTokens: cached })));
  }
  return {
    rows: rows.map((row) => ({
      device: capabilities.cuda ? 'cuda' : 'webgpu',
      adapter: describeAdapter(capabilities),
      model: request.model,
      quant: describeQuantization(model),
      loadMs,
      ...row,
      ...(copyBandwidth !== undefined && { shareOfCopy: row.effectiveGBps / copyBandwidth }),
    })),
    ...(request.vision && {
      screenshotMs: await benchVision(model, { ...SCREENSHOT, repeats }),
      agent: await benchAgent(model, repeats),
    }),
    ...(request.profile && { profile: await profileDecode(model, batches[0] ?? 1) }),
  };
}

function describeQuantization({ layout }: LanguageModel): string {
  const format = layout.text.head.format;
  return { q4: 'q4f16_1', q8: 'q8f16_1', f16: 'q0f16', f32: 'q0f32' }[format];
}

/** A report as lines of text. */
export function describeReport({ rows, screenshotMs, agent, profile }: BenchReport): string {
  const [first] = rows;
  const lines = [
    ...(first
      ? [`${first.model} on ${first.adapter}, ${first.device}, loaded in ${seconds(first.loadMs)} s`]
      : []),
    ...rows.map(describeRow),
    ...(screenshotMs === undefined ? [] : [`screenshot: encoded in ${screenshotMs.toFixed(0)} ms`]),
    ...(agent
      ? [
          `screenshot to first token: ${agent.screenshotToFirstTokenMs.toFixed(0)} ms`,
          `agent: first step ${agent.firstStepMs.toFixed(0)} ms, second ${describeSecond(agent, agent.secondStepMs)}; ` +
            `with ${agent.prefillAheadTokens} tokens of text computed in ${agent.prefillAheadMs.toFixed(0)} ms ` +
            `before its screenshot ${describeSecond(agent, agent.secondStepAfterPrefillMs)}`,
        ]
      : []),
    ...(profile ?? []).map(describeKernel),
  ];
  return `${lines.join('\n')}\n`;
}

function describeSecond({ firstStepMs }: AgentTimes, milliseconds: number): string {
  return `${milliseconds.toFixed(0)} ms (${(milliseconds / firstStepMs).toFixed(2)} of the first)`;
}

function describeRow(row: ReportRow): string {
  const place =
    row.cachedTokens === undefined ? `prompt ${row.promptTokens}` : `behind ${row.cachedTokens} tokens`;
  const share = row.shareOfCopy === undefined ? '' : ` (${row.shareOfCopy.toFixed(2)} of copy)`;
  const prefill =
    row.cachedTokens === undefined
      ? `, ${row.prefillTokensPerSecond.toFixed(0)} tok/s prefill, first token after ` +
        `${row.timeToFirstTokenMs.toFixed(0)} ms (${row.firstRunTimeToFirstTokenMs.toFixed(0)} ms the first time)`
      : '';
  return (
    `batch ${row.batch}, ${place}: ${row.decodeTokensPerSecond.toFixed(1)} tok/s decode, ` +
    `${row.effectiveGBps.toFixed(0)} GB/s${share}, ${row.dispatchesPerToken} dispatches in ` +
    `${row.hostMsPerStep.toFixed(2)} host ms a step${prefill}`
  );
}

function describeKernel({ kernel, count, totalMicroseconds, GBps, TFLOPs, share }: KernelTime): string {
  return (
    `${kernel.padEnd(28)} x${String(count).padEnd(4)} ${totalMicroseconds.toFixed(1).padStart(10)} us ` +
    `${GBps.toFixed(0).padStart(6)} GB/s ${TFLOPs.toFixed(1).padStart(6)} TFLOP/s ${(share * 100).toFixed(1).padStart(5)}%`
  );
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}
