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
  // The command has ended its threads: an exit while they run may hang. What is left are idle connections.
  process.exit(isFault ? printError(lost, { json: false, debug: false }) : status)
}

void main()
