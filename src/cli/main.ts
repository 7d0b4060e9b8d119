import { printError } from './output/error.ts'
import { runProgram } from './program.ts'

/** Ctrl-C and its kin are raised as a signal that operations obey between two steps, so that nothing is left half done. */
async function main(): Promise<void> {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort())
  let lost: NodeJS.ErrnoException | undefined
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    lost ??= error
  })
  // Progress that nobody reads is no reason to stop in the midst of changes.
  process.stderr.on('error', () => {})
  const status = await runProgram(process.argv.slice(2), interrupt.signal)
  // That the reader of a pipe has gone away is no fault: `forerun images list | head -1`.
  const isFault = status === 0 && lost !== undefined && lost.code !== 'EPIPE'
  process.exitCode = isFault ? printError(lost, { json: false, debug: false }) : status
  // Nothing is left to do, so that Node ends by itself. `process.exit` would now and then hang: it waits for the threads in
  // which V8 compiles, and these may wait for the main thread to collect garbage.
  setTimeout(() => process.exit(), longestEnd).unref()
}

/** Milliseconds: should something keep Node running, an end that may hang is better than none. */
const longestEnd = 5_000

void main()
