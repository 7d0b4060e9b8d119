import { processEnd } from '../host/process-end.ts'
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
  await written(process.stdout)
  // That the reader of a pipe has gone away is no fault: `forerun images list | head -1`.
  const isFault = status === 0 && lost !== undefined && lost.code !== 'EPIPE'
  const ended = isFault ? printError(lost, { json: false, debug: false }) : status
  await Promise.all([process.stdout, process.stderr].map(written))
  processEnd.atOnce?.(ended)
  // What has only read, and needed no system calls of its own, leaves the end to Node.
  process.exitCode = ended
  setTimeout(() => process.exit(), longestEnd).unref()
}

/** Milliseconds: should something keep Node running, an end that may hang is better than none. */
const longestEnd = 5_000

/** Resolves when all that was written to the stream has left the process, or can no longer leave it. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()))
}

void main()
