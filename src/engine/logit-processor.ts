import type { TokenConstraint } from '../model/token-constraint.ts';

/** Changes the logits of every token on the host; web-llm's shape. It sees one answer at a time. */
export interface LogitProcessor {
  /** Takes the logits of the next token, one for each id, and returns them changed. */
  processLogits(logits: Float32Array): Float32Array;
  /** Is told the token that was chosen from them. */
  processSampledToken(token: number): void;
}

/** A constraint that has the processor change the logits before it allows tokens of them. */
export function withProcessor(
  processor: LogitProcessor,
  constraint: TokenConstraint | undefined,
): TokenConstraint {
  return {
    nextMask: () => constraint?.nextMask(),
    processLogits: (logits) => processor.processLogits(logits),
    accept: (tokenId) => {
      constraint?.accept(tokenId);
      processor.processSampledToken(tokenId);
    },
  };
}
