import { printError } from './output/error.ts'
import { runProgram } from './program.ts'

/** Ctrl-C and its kin are raised as a signal that operations obey between two steps, so that nothing is left half done. */
async function main(): Promise<void> {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort())
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of a pipe has gone away: `forerun images list | head -1`. Results come last: nothing is cut short.
    process.exit(error.code === 'EPIPE' ? 0 : printError(error, { json: false, debug: false }))
  })
  // Progress that nobody reads is no reason to stop in the midst of changes.
  process.stderr.on('error', () => {})
  process.exit(await runProgram(process.argv.slice(2), interrupt.signal))
}

void main()
