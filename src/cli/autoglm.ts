#!/usr/bin/env node
/** The `autoglm` command. Built to `dist/node/autoglm.js`, beside `block-worker.js`. */
import { runProgram } from './program.ts';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
process.once('SIGTERM', () => interrupt.abort());

process.exitCode = await runProgram(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  interactive: process.stderr.isTTY === true,
  signal: interrupt.signal,
  workerUrl: new URL('block-worker.js', import.meta.url),
});
