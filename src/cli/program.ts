import { Command, CommanderError } from 'commander'
import { ForerunError } from '../errors.ts'
import { containersCommand } from './commands/containers.ts'
import { imagesCommand } from './commands/images.ts'
import { installCommand } from './commands/install.ts'
import { loginCommand } from './commands/login.ts'
import { logoutCommand } from './commands/logout.ts'
import { pullCommand } from './commands/pull.ts'
import { pushCommand } from './commands/push.ts'
import { runCommand } from './commands/run.ts'
import { stopCommand } from './commands/stop.ts'
import { storageCommand } from './commands/storage.ts'
import { trustCommand } from './commands/trust.ts'
import { uninstallCommand } from './commands/uninstall.ts'
import { verifyCommand } from './commands/verify.ts'
import { printError } from './output/error.ts'
import type { Session } from './session.ts'
import { version } from './version.ts'

/** Runs a command line (without program and script) to its end. @returns the exit status. */
export async function runProgram(words: readonly string[], interrupt: AbortSignal): Promise<number> {
  const session: Session = {
    interrupt,
    json: words.includes('--json'),
    debug: words.includes('--debug'),
    quiet: words.includes('--quiet') || words.includes('-q'),
  }
  const root = program(session, words)
  try {
    await root.parseAsync(words, { from: 'user' })
    // A command whose result tells of a failure sets it.
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const { json, debug } = session
    return printError(error instanceof CommanderError ? usageError(error, root, words) : error, { json, debug })
  }
}

const commands: Readonly<Record<string, (session: Session) => Command>> = {
  install: installCommand,
  uninstall: uninstallCommand,
  run: runCommand,
  stop: stopCommand,
  containers: containersCommand,
  pull: pullCommand,
  push: pushCommand,
  images: imagesCommand,
  verify: verifyCommand,
  storage: storageCommand,
  trust: trustCommand,
  login: loginCommand,
  logout: logoutCommand,
}

/** The command tree; where the first word names a command, that branch of it: making the others takes longer than most commands. */
function program(session: Session, [first = '']: readonly string[]): Command {
  const root = new Command('forerun')
    .description('Installs container images as systemd services that run before any container daemon exists.')
    .version(version, '--version', 'print the version')
    .helpCommand('help [COMMAND]', 'explain a command')
    .addHelpText('after', examples)
  const wanted = Object.hasOwn(commands, first) ? [first] : Object.keys(commands)
  for (const name of wanted) {
    const make = commands[name]
    if (make !== undefined) root.addCommand(make(session))
  }
  throwInsteadOfExit(root)
  return root
}

const examples = `
Examples:
  forerun install --system registry.example.com/etcd:3.5
  forerun install --system --name flannel --set NETWORK=10.1.0.0/16 registry.example.com/flannel
  forerun containers list --all
  forerun uninstall etcd

Settings are read from /etc/forerun/forerun.conf; see forerun(1).`

/** Commander prints and exits by itself; errors are printed in one place here. */
function throwInsteadOfExit(command: Command): void {
  command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .helpOption('-h, --help', 'explain this command')
  for (const child of command.commands) throwInsteadOfExit(child)
}

/** The hint leads to the help of the command that was meant, as far as it is known. */
function usageError(error: CommanderError, root: Command, words: readonly string[]): ForerunError {
  const path = [root.name()]
  for (let command: Command | undefined = root, at = 0; command !== undefined; at++) {
    command = command.commands.find((child) => child.name() === words[at])
    if (command !== undefined) path.push(command.name())
  }
  const message = error.code === 'commander.help' ? 'a command is needed' : error.message.replace(/^error: /, '')
  return new ForerunError('usage', message, { hint: `See: ${path.join(' ')} --help`, cause: error })
}
