import { runProgram } from './program.ts'

/** Ctrl-C and its kin are raised as a signal that operations obey between two steps, so that nothing is left half done. */
async function main(): Promise<void> {
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort())
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of a pipe has gone away: `forerun images list | head -1`.
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  process.exit(await runProgram(process.argv.slice(2), interrupt.signal))
}

void main()
