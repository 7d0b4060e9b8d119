import type { Command } from 'commander'
import { ForerunError } from '../../errors.ts'
import type { LoginRequest, LoginResult, Prompt } from '../../operations/access/login.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { withTlsOptions } from './options.ts'

interface Options extends Pick<LoginRequest, 'tlsVerify' | 'certDir' | 'authfile'> {
  username?: string
  password?: string
  passwordStdin?: boolean
  getLogin?: boolean
}

export function loginCommand(session: Session): Command {
  const loggingIn = resultCommand('login', {
    summary: 'log in to a registry, for forerun, podman and skopeo',
    examples: [
      'forerun login registry.example.com',
      'forerun login --username ann --password-stdin registry.example.com/team < FILE',
      'forerun login --authfile /etc/containers/auth.json registry.example.com',
      'forerun login --get-login registry.example.com',
    ],
  })
    .argument('<REGISTRY[/NAMESPACE]>', 'a registry, or the part of it that the credentials are for')
    .option('-u, --username <USER>', 'the user (default: asks)')
    .option('-p, --password <PASSWORD>', 'the password (default: asks); others can see it while forerun runs')
    .option('--password-stdin', 'read the password from standard input')
    .option('--authfile <FILE>', 'keep the credentials in this file')
    .option('--get-login', 'print the user that is logged in, and do nothing else')
    .addHelpText('after', places)
  return withTlsOptions(loggingIn).action((registry: string, options: Options) =>
    perform<LoginResult>(
      session,
      async (context) => {
        const { currentLogin, login } = await import('../../operations/access/login.ts')
        const { authfile, tlsVerify, certDir, username: user } = options
        const file = authfile === undefined ? {} : { authfile }
        if (options.getLogin === true) return { ...(await currentLogin({ registry, ...file }, context)), known: true }
        const password = await givenPassword(options)
        const prompt = await promptBy(session.interrupt)
        const security = { ...(tlsVerify !== undefined && { tlsVerify }), ...(certDir !== undefined && { certDir }) }
        return login({ registry, user, password, prompt, ...file, ...security }, context)
      },
      (result) => (options.getLogin === true ? result.user : describe(result)),
    ),
  )
}

const places = `
The credentials are kept where podman keeps them: in $REGISTRY_AUTH_FILE, else in $XDG_RUNTIME_DIR/containers/auth.json,
else in /run/containers/UID/auth.json; or in the credential helper that the file names. The last two files are in
memory, and gone with the next boot. forerun, though no other tool unless it is told to, also reads
/etc/containers/auth.json.`

/** @throws ForerunError `usage` when it is given twice. */
async function givenPassword({ password, passwordStdin }: Options): Promise<string | undefined> {
  if (passwordStdin !== true) return password
  if (password !== undefined) {
    throw new ForerunError('usage', '--password and --password-stdin do not go together', {
      hint: 'Use --password-stdin: others can see the words of a command.',
    })
  }
  const { text } = await import('node:stream/consumers')
  return (await text(process.stdin)).replace(/\r?\n$/, '')
}

/** Loaded only where it is wanted: every command line passes through this file. */
async function promptBy(interrupt: AbortSignal): Promise<Prompt | undefined> {
  const { passwordPrompt, terminalPrompt } = await import('../prompt.ts')
  const ask = terminalPrompt(interrupt)
  const password = passwordPrompt(interrupt)
  return ask && password && { user: (registry) => ask(`User at ${registry}: `), password }
}

function describe({ registry, user, place, known }: LoginResult): string {
  if (known) return `Already logged in to ${registry} as ${user}, by ${place}.`
  return `Login Succeeded! The credentials of ${user} at ${registry} are in ${place}.`
}
