import { Command, Option } from 'commander'
import type { Emit } from '../events.ts'
import type { Context } from '../operations/context.ts'
import { progress } from './output/progress.ts'

/** What the whole command line says of how to present things. */
export interface Session {
  readonly interrupt: AbortSignal
  readonly json: boolean
  readonly debug: boolean
  readonly quiet: boolean
}

interface About {
  readonly summary: string
  readonly examples: readonly string[]
}

/** A command that only has commands below it. */
export function groupCommand(name: string, about: About): Command {
  const examples = about.examples.map((line) => `  ${line}`).join('\n')
  return new Command(name).description(about.summary).addHelpText('after', `\nExamples:\n${examples}`)
}

/** A command with the options that every command has. */
export function command(name: string, about: About): Command {
  return groupCommand(name, about)
    .addOption(new Option('-q, --quiet', 'print no progress and no notices'))
    .addOption(new Option('--debug', 'tell what is done, on standard error'))
}

/** As `command`, for one that has a result. */
export function resultCommand(name: string, about: About): Command {
  return command(name, about).addOption(new Option('--json', 'print the result, or the error, as JSON'))
}

/**
 * Runs an operation with everything wired, progress on standard error and the result on standard output: as JSON where
 * that was asked for, else as the text that `describe` makes of it.
 */
export async function perform<Result>(
  session: Session,
  operation: (context: Context) => Promise<Result>,
  describe: (result: Result) => string,
): Promise<void> {
  const shown = progress({ quiet: session.quiet, plain: session.debug })
  const logged = session.debug ? await debugLog() : () => {}
  // Most of the program: help and mistakes need none of it.
  const { wire } = await import('./wire.ts')
  await using context = wire({
    signal: session.interrupt,
    emit(event) {
      shown.emit(event)
      logged(event)
    },
  })
  try {
    const result = await operation(context)
    shown.end()
    const text = session.json ? JSON.stringify(result, undefined, 2) : describe(result)
    if (text !== '') await write(`${text}\n`)
  } finally {
    shown.end()
  }
}

/** Loaded only where it is wanted: most runs log nothing. */
async function debugLog(): Promise<Emit> {
  const { diagnostics } = await import('./output/diagnostics.ts')
  return diagnostics({ debug: true })
}

/** To a pipe, too, everything is written before the process exits. */
function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()))
  })
}
