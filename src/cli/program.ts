import { Command, CommanderError } from 'commander';
import { isAbortError, isAutoglmError, toError } from '../base/errors.ts';
import { addBenchCommand } from './bench-command.ts';
import { addConvertCommand } from './convert-command.ts';
import { addEvalCommand } from './eval-command.ts';
import { addGenerateCommand } from './generate-command.ts';
import { addInspectCommand } from './inspect-command.ts';
import { addPairCommands } from './pair-command.ts';
import { addServeCommand } from './serve-command.ts';
import { addSynthCommand } from './synth-command.ts';
import { addTokenizeCommand } from './tokenize-command.ts';
import type { Terminal } from './terminal.ts';

/** What the process ends with: 0 done, 1 failed, 2 bad usage. */
export type ExitCode = 0 | 1 | 2;

/**
 * Runs one `autoglm` command line.
 *
 * With `--json`, stdout receives one JSON object and nothing else: the result, or `{error}` when the command
 * failed. Progress and messages go to stderr.
 *
 * @param args the arguments after the program's name
 */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    await createProgram(terminal).parseAsync(args, { from: 'user' });
    return 0;
  } catch (thrown) {
    return report(thrown, args.includes('--json'), terminal);
  }
}

function createProgram(terminal: Terminal): Command {
  const program = new Command('autoglm')
    .description('AutoGLM-Phone on WebGPU: convert, inspect and run models.')
    .exitOverride()
    .showHelpAfterError('(autoglm --help lists the commands)')
    .configureOutput({ writeOut: terminal.stdout, writeErr: terminal.stderr });
  addConvertCommand(program, terminal);
  addInspectCommand(program, terminal);
  addTokenizeCommand(program, terminal);
  addSynthCommand(program, terminal);
  addGenerateCommand(program, terminal);
  addEvalCommand(program, terminal);
  addBenchCommand(program, terminal);
  addServeCommand(program, terminal);
  addPairCommands(program, terminal);
  return program;
}

function report(thrown: unknown, json: boolean, terminal: Terminal): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  if (isAbortError(thrown)) {
    terminal.stderr('Stopped.\n');
    return 1;
  }
  const error = toError(thrown);
  const isUsage = isAutoglmError(error, 'usage');
  const code = isAutoglmError(error) ? error.code : 'internal';
  if (json) terminal.stdout(`${JSON.stringify({ error: isAutoglmError(error) ? error : { code } })}\n`);
  terminal.stderr(`autoglm: ${code}: ${error.message}\n`);
  if (code === 'internal') terminal.stderr(`${(error.cause as Error | undefined)?.stack ?? error.stack}\n`);
  return isUsage ? 2 : 1;
}
