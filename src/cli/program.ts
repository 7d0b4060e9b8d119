import { Command, CommanderError } from 'commander'
import { ForerunError } from '../errors.ts'
import { containersCommand } from './commands/containers.ts'
import { imagesCommand } from './commands/images.ts'
import { installCommand } from './commands/install.ts'
import { loginCommand } from './commands/login.ts'
import { logoutCommand } from './commands/logout.ts'
import { logsCommand } from './commands/logs.ts'
import { mountCommand, umountCommand } from './commands/mount.ts'
import { pullCommand } from './commands/pull.ts'
import { pushCommand } from './commands/push.ts'
import { recoverCommand } from './commands/recover.ts'
import { rollbackCommand } from './commands/rollback.ts'
import { runCommand } from './commands/run.ts'
import { stopCommand } from './commands/stop.ts'
import { storageCommand } from './commands/storage.ts'
import { trustCommand } from './commands/trust.ts'
import { uninstallCommand } from './commands/uninstall.ts'
import { updateCommand } from './commands/update.ts'
import { verifyCommand } from './commands/verify.ts'
import { printError } from './output/error.ts'
import { type Session, withLeadingOptions } from './session.ts'
import { version } from './version.ts'

/** Runs a command line (without program and script) to its end. @returns the exit status. */
export async function runProgram(words: readonly string[], interrupt: AbortSignal): Promise<number> {
  const session = { interrupt, json: false, debug: false, quiet: false, assumeYes: false, lockTimeout: undefined }
  const root = program(session, words)
  prepare(root, session)
  try {
    await root.parseAsync(words, { from: 'user' })
    // A command whose result tells of a failure sets it.
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const shown = error instanceof CommanderError ? usageError(error, root, words) : error
    // Of a line that is not understood, the parser may have given up before it came to this option.
    const isUsage = shown instanceof ForerunError && shown.code === 'usage'
    return printError(shown, { ...session, json: session.json || (isUsage && words.includes('--json')) })
  }
}

const commands: Readonly<Record<string, (session: Session) => Command>> = {
  install: installCommand,
  uninstall: uninstallCommand,
  update: (session) => updateCommand(session, 'forerun'),
  rollback: (session) => rollbackCommand(session, 'forerun'),
  run: runCommand,
  stop: stopCommand,
  logs: logsCommand,
  mount: mountCommand,
  umount: umountCommand,
  containers: containersCommand,
  pull: pullCommand,
  push: pushCommand,
  images: imagesCommand,
  verify: verifyCommand,
  storage: storageCommand,
  recover: recoverCommand,
  trust: trustCommand,
  login: loginCommand,
  logout: logoutCommand,
}

/** The command tree; where the first word names a command, that branch of it: making the others takes longer than most commands. */
function program(session: Session, words: readonly string[]): Command {
  const root = withLeadingOptions(new Command('forerun'))
    .description('Installs container images as systemd services that run before any container daemon exists.')
    .version(version, '--version', 'print the version')
    .addHelpText('after', examples)
    .helpCommand(false)
  const first = words.find((word) => !word.startsWith('-')) ?? ''
  const wanted = Object.hasOwn(commands, first) ? [first] : Object.keys(commands)
  for (const name of wanted) {
    const make = commands[name]
    if (make !== undefined) root.addCommand(make(session))
  }
  if (first === '' || first === 'help' || wanted.length > 1) root.addCommand(helpCommand(root))
  return root
}

/** Explains the command that words lead to. Commander's own passes over words that lead nowhere. */
function helpCommand(root: Command): Command {
  return new Command('help')
    .description('explain a command')
    .argument('[COMMAND...]')
    .action((words: string[]) => {
      let explained = root
      for (const word of words) {
        const next = explained.commands.find((child) => isCalled(child, word))
        if (next === undefined) {
          const hint = `See: ${pathOf(explained)} --help`
          throw new ForerunError('usage', `unknown command '${word}'`, { hint })
        }
        explained = next
      }
      explained.outputHelp()
    })
}

function isCalled(command: Command, word: string): boolean {
  return command.name() === word || command.aliases().includes(word)
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

const examples = `
Examples:
  forerun install --system registry.example.com/etcd:3.5
  forerun install --system --name flannel --set NETWORK=10.1.0.0/16 registry.example.com/flannel
  forerun containers list --all
  forerun uninstall etcd

Settings are read from /etc/forerun/forerun.conf; see forerun(1).`

/**
 * Commander prints and exits by itself; errors are printed in one place here. What the options say of the session is known as
 * soon as each is parsed, and not only when all of the line is understood.
 */
function prepare(command: Command, session: { -readonly [Key in keyof Session]: Session[Key] }): void {
  command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .helpOption('-h, --help', 'explain this command')
    .on('option:json', () => (session.json = true))
    .on('option:debug', () => (session.debug = true))
    .on('option:quiet', () => (session.quiet = true))
    .on('option:assumeyes', () => (session.assumeYes = true))
    .on('option:lock-timeout', () => (session.lockTimeout = command.getOptionValue('lockTimeout') as number))
  for (const child of command.commands) prepare(child, session)
}

/** The hint leads to the help of the command that was meant, as far as it is known. */
function usageError(error: CommanderError, root: Command, words: readonly string[]): ForerunError {
  let meant = root
  for (const word of words) meant = meant.commands.find((child) => isCalled(child, word)) ?? meant
  const message = error.code === 'commander.help' ? 'a command is needed' : error.message.replace(/^error: /, '')
  return new ForerunError('usage', message, { hint: `See: ${pathOf(meant)} --help`, cause: error })
}
