import { Command, Option } from 'commander'
import type { Context } from '../operations/context.ts'
import { diagnostics } from './output/diagnostics.ts'
import { progress } from './output/progress.ts'
import { wire } from './wire.ts'

/** What the whole command line says of how to present things. */
export interface Session {
  readonly interrupt: AbortSignal
  readonly json: boolean
  readonly debug: boolean
  readonly quiet: boolean
}

/** A command with the options that every command has, and its examples below its help. */
export function command(words: string, about: { summary: string; examples: readonly string[] }): Command {
  return new Command(words)
    .description(about.summary)
    .addOption(new Option('-q, --quiet', 'print no progress and no notices'))
    .addOption(new Option('--debug', 'tell what is done, on standard error'))
    .addHelpText('after', `\nExamples:\n${about.examples.map((line) => `  ${line}`).join('\n')}`)
}

/** As `command`, for one that has a result. */
export function resultCommand(words: string, about: { summary: string; examples: readonly string[] }): Command {
  return command(words, about).addOption(new Option('--json', 'print the result, or the error, as JSON'))
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
  const shown = progress({ quiet: session.quiet })
  const logged = diagnostics({ debug: session.debug })
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

/** To a pipe, too, everything is written before the process exits. */
function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()))
  })
}
