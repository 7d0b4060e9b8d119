import { type ChildProcess, spawn } from 'node:child_process'
import * as v from 'valibot'
import { ForerunError } from '../../../errors.ts'
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
  const { status, output } = await runHelper(call, 'get', call.server)
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
  const { status, output } = await runHelper(call, 'erase', call.server)
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

interface HelperResult {
  readonly status: number
  /** Of standard output. */
  readonly output: Buffer
}

const outputLimit = 64 * 1024

/** Runs the program in a process group of its own, so that all of it can be ended. */
function runHelper(call: HelperCall, action: string, input: string): Promise<HelperResult> {
  const { name, signal, environment = process.env, timeout = 30_000 } = call
  if (!/^[\w.-]+$/.test(name)) {
    throw new ForerunError('credentials', `${call.namedIn} names a credential helper that cannot be`, {
      hint: `A helper's name is NAME of a program docker-credential-NAME; see containers-auth.json(5).`,
    })
  }
  return new Promise((resolve, reject) => {
    const child = spawn(`docker-credential-${name}`, [action], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: environment,
      detached: true,
    })
    const chunks: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => fail(helperFailed(call, `took longer than ${timeout / 1000} s`)), timeout)
    const interrupt = () => fail(new ForerunError('interrupted', 'interrupted', { cause: signal.reason }))
    const settle = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', interrupt)
    }
    function fail(error: ForerunError): void {
      settle()
      killGroup(child)
      // What left the group may hold the other end of the pipe for ever.
      child.stdout.destroy()
      reject(error)
    }
    signal.addEventListener('abort', interrupt)
    if (signal.aborted) interrupt()
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      if (length > outputLimit) fail(helperFailed(call, `answers with more than ${outputLimit} bytes`))
    })
    child.on('error', (cause: NodeJS.ErrnoException) => fail(cannotStart(call, cause)))
    child.on('close', (code) => {
      settle()
      resolve({ status: code ?? 128, output: Buffer.concat(chunks) })
    })
    // It may end before it has read all: its status tells what there is to tell.
    child.stdin.on('error', () => {})
    child.stdin.end(`${input}\n`)
  })
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function cannotStart(call: HelperCall, cause: NodeJS.ErrnoException): ForerunError {
  if (cause.code !== 'ENOENT') return helperFailed(call, `cannot be started (${cause.code})`)
  const message = `docker-credential-${call.name}, which ${call.namedIn} names for ${call.server}, is not installed`
  return new ForerunError('credentials', message, {
    hint: `Install it where PATH leads, or take it out of ${call.namedIn}.`,
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
