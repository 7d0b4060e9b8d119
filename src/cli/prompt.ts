import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { ForerunError } from '../errors.ts'

/** Asks for one line on the terminal. `hidden`: what is typed is not shown. @throws ForerunError `interrupted`. */
type Ask = (question: string, options?: { hidden?: boolean }) => Promise<string>

/**
 * A way to ask the person at the terminal; undefined when standard input or standard error is none. Questions go to standard error,
 * as results go to standard output.
 */
export function terminalPrompt(signal: AbortSignal): Ask | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined
  return (question, { hidden = false } = {}) => askLine(question, { hidden, signal })
}

/**
 * A way to ask for the password of a user at a registry, once for all images from there; undefined as for
 * `terminalPrompt`.
 */
export function passwordPrompt(signal: AbortSignal): ((user: string, registry: string) => Promise<string>) | undefined {
  const ask = terminalPrompt(signal)
  return (
    ask &&
    ((user, registry) => {
      const question = `Password of ${user} at ${registry}: `
      const answer = answers.get(question) ?? ask(question, { hidden: true })
      answers.set(question, answer)
      return answer
    })
  )
}

const answers = new Map<string, Promise<string>>()

async function askLine(
  question: string,
  { hidden, signal }: { hidden: boolean; signal: AbortSignal },
): Promise<string> {
  // The interface echoes what is typed, as it sets the terminal to raw mode.
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!hidden) process.stderr.write(chunk)
      done()
    },
  })
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 })
  try {
    return await new Promise<string>((resolve, reject) => {
      const interrupt = () => reject(new ForerunError('interrupted', 'interrupted'))
      signal.addEventListener('abort', interrupt, { once: true })
      if (signal.aborted) interrupt()
      // In raw mode Ctrl-C is a key.
      lines.on('SIGINT', interrupt)
      lines.on('line', resolve)
      // Ctrl-D.
      lines.on('close', interrupt)
      if (hidden) process.stderr.write(question)
      else {
        lines.setPrompt(question)
        lines.prompt()
      }
    })
  } finally {
    lines.close()
    if (hidden) process.stderr.write('\n')
  }
}
