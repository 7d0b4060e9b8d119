import * as v from 'valibot'
import { ForerunError } from '../../../errors.ts'
import { ProgramFailure, type RunResult, run } from '../../../host/run.ts'
import { parseJson } from '../../../image/json.ts'
import type { ContainersPlace } from '../config/containers-folders.ts'
import type { Credentials } from '../transport/registry.ts'

/** A program `docker-credential-NAME` and what it is asked about. */
export interface HelperCall {
  readonly name: string
  /** As the helper knows the registry. */
  readonly server: string
  /** The file that names the helper, for errors. */
  readonly namedIn: string
  readonly signal: AbortSignal
  readonly environment?: ContainersPlace['environment']
  /** Milliseconds. Default 30,000. */
  readonly timeout?: number
}

/**
 * Asks a helper for credentials (docker-credential-helpers, "get"); undefined when it has none for that server.
 *
 * @throws ForerunError `credentials` when the helper is missing, fails, takes too long, or answers with anything else.
 * Nothing that the helper prints is told: it may be the secret.
 */
export async function credentialsOfHelper(call: HelperCall): Promise<Credentials | undefined> {
  const { status, stdout: output } = await runHelper(call, 'get', call.server)
  if (status !== 0 && saysNotFound(output)) return undefined
  if (status !== 0) throw helperFailed(call, `failed (status ${status})`)
  const { Username: user, Secret: secret } = parseAnswer(call, output)
  if (user === '' || secret === '') return undefined
  return user === '<token>' ? { identityToken: secret } : { user, password: secret }
}

/** Has a helper keep credentials ("store"). Throws as `credentialsOfHelper`. */
export async function storeWithHelper(
  call: HelperCall,
  credentials: { user: string; password: string },
): Promise<void> {
  const { user: Username, password: Secret } = credentials
  const { status } = await runHelper(call, 'store', JSON.stringify({ ServerURL: call.server, Username, Secret }))
  if (status !== 0) throw helperFailed(call, `failed to store (status ${status})`)
}

/** Has a helper forget credentials ("erase"). Returns whether it had any. Throws as `credentialsOfHelper`. */
export async function eraseWithHelper(call: HelperCall): Promise<boolean> {
  const { status, stdout: output } = await runHelper(call, 'erase', call.server)
  if (status !== 0 && !saysNotFound(output)) throw helperFailed(call, `failed to erase (status ${status})`)
  return status === 0
}

/** The protocol has no other sign than these words, on standard output. */
function saysNotFound(output: Buffer): boolean {
  return /^credentials not found in native keychain/.test(output.toString('utf8').trim())
}

const answerSchema = v.object({ Username: v.string('not a string'), Secret: v.string('not a string') }, 'not an object')

function parseAnswer(call: HelperCall, output: Buffer): v.InferOutput<typeof answerSchema> {
  try {
    return parseJson(output, answerSchema, { document: 'the answer' })
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    // Without its cause, which quotes the answer.
    throw helperFailed(call, 'answers with something that is not credentials')
  }
}

async function runHelper(call: HelperCall, action: string, input: string): Promise<RunResult> {
  const { name, signal, environment, timeout = 30_000 } = call
  if (!/^[\w.-]+$/.test(name)) {
    throw new ForerunError('credentials', `${call.namedIn} names a credential helper that cannot be`, {
      hint: `A helper's name is NAME of a program docker-credential-NAME; see containers-auth.json(5).`,
    })
  }
  const options = { signal, environment, timeout, input: `${input}\n`, outputLimit: 64 * 1024 }
  return await run(`docker-credential-${name}`, [action], options).catch((cause: unknown) => {
    if (!(cause instanceof ProgramFailure)) throw cause
    throw cause.fault === 'absent' ? notInstalled(call, cause) : helperFailed(call, cause.what)
  })
}

function notInstalled(call: HelperCall, cause: ProgramFailure): ForerunError {
  const message = `docker-credential-${call.name}, which ${call.namedIn} names for ${call.server}, is not installed`
  return new ForerunError('credentials', message, {
    hint: `Install it where PATH leads and only root may write, or take it out of ${call.namedIn}.`,
    cause,
  })
}

function helperFailed({ name, server, namedIn }: HelperCall, what: string): ForerunError {
  return new ForerunError(
    'credentials',
    `docker-credential-${name} (named in ${namedIn}) ${what}, asked for ${server}`,
    {
      hint: `Try it alone, it prints the secret: echo ${server} | docker-credential-${name} get`,
    },
  )
}
