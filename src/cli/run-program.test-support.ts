import { runProgram, type ExitCode } from './program.ts';

/** What a command line left behind. */
export interface CommandRun {
  readonly exitCode: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line in this process and keeps what it writes. */
export async function runCommand(...args: readonly string[]): Promise<CommandRun> {
  let stdout = '';
  let stderr = '';
  const exitCode = await runProgram(args, {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    interactive: false,
    signal: new AbortController().signal,
    workerUrl: undefined,
  });
  return { exitCode, stdout, stderr };
}
