import { Command, Option } from 'commander'
import { ForerunError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Context } from '../operations/context.ts'
import { parseSeconds } from './commands/options.ts'
import { printableJson } from './output/printable.ts'
import { progress } from './output/progress.ts'

/** What the whole command line says of how to present things; known when the action of a command runs. */
export interface Session {
  readonly interrupt: AbortSignal
  readonly json: boolean
  readonly debug: boolean
  readonly quiet: boolean
  /** Questions are answered with yes. */
  readonly assumeYes: boolean
  /** Milliseconds to wait for other commands; undefined: as long as it takes. */
  readonly lockTimeout: number | undefined
}

interface About {
  readonly summary: string
  readonly examples: readonly string[]
}

/** A command that only has commands below it. */
export function groupCommand(name: string, about: About): Command {
  return withLeadingOptions(described(name, about))
}

/** Adds the options that may also stand before the word of a command. */
export function withLeadingOptions(parent: Command): Command {
  return withCommonOptions(parent.enablePositionalOptions())
}

/** A command with the options that every command has. */
export function command(name: string, about: About): Command {
  return withCommonOptions(described(name, about))
    .addOption(new Option('-q, --quiet', 'print no progress and no notices'))
    .addOption(
      new Option('--lock-timeout <SECONDS>', 'give up when another command is not done by then').argParser(
        parseSeconds,
      ),
    )
    .addOption(new Option('--storage <BACKEND>', 'for scripts of Project Atomic').argParser(checkStorage).hideHelp())
}

function described(name: string, about: About): Command {
  const examples = about.examples.map((line) => `  ${line}`).join('\n')
  return new Command(name).description(about.summary).addHelpText('after', `\nExamples:\n${examples}`)
}

function withCommonOptions(described: Command): Command {
  return described
    .addOption(new Option('-y, --assumeyes', 'answer every question with yes'))
    .addOption(new Option('--debug', 'tell what is done, on standard error'))
}

/** Project Atomic's tool kept images in ostree or in Docker's storage. Here is one store, which `ostree` means. */
function checkStorage(backend: string): string {
  if (backend === 'ostree') return backend
  throw new ForerunError('usage', `--storage=${backend} is not possible: forerun has one store of its own`, {
    hint: 'Leave it out, or write --storage=ostree. An image of the Docker daemon is named docker:IMAGE.',
  })
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
    lockTimeout: session.lockTimeout,
    emit(event) {
      shown.emit(event)
      logged(event)
    },
  })
  try {
    const result = await operation(context)
    shown.end()
    const text = session.json ? printableJson(result) : describe(result)
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

/** To a pipe, too, everything is written before the process exits. Its reader may have gone away: it has read enough. */
function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') reject(error)
      else resolve()
    })
  })
}
