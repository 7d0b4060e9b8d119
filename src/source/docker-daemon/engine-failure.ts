import * as v from 'valibot'
import { ForerunError } from '../../errors.ts'
import { shownWords } from '../../image/reference.ts'

/** What a status other than 200 means. `body` is the answer, as a rule `{"message": …}`. */
export function refusal(status: number, body: string, address: string): ForerunError {
  const said = shownWords(messageOf(body) ?? `status ${status}`)
  if (status === 404) {
    return new ForerunError('image-not-found', `the daemon at ${shownWords(address)} has no such image: ${said}`, {
      hint: 'docker images lists what it has.',
    })
  }
  return unusable(address, `refused: ${said}`, 'Ask it with docker image inspect, and look into its journal.')
}

/** What a fault of the connection means; what is none of its is returned as it is. */
export function engineFailure(error: unknown, address: string): unknown {
  if (error instanceof ForerunError || !(error instanceof Error)) return error
  const code = error.name === 'HTTPParserError' ? error.name : 'code' in error ? String(error.code) : ''
  const [reason, hint = startHint] = reasons[code] ?? []
  return reason === undefined ? error : unusable(address, reason, hint, error)
}

const startHint = 'Start it (systemctl start docker), or set DOCKER_HOST to where it listens.'
const retryHint = 'Look into its journal, and try again.'

const absent = ['does not run: nothing listens there'] as const
const silent = ['does not answer', retryHint] as const
const cut = ['broke off in the midst of the image', retryHint] as const

const reasons: Readonly<Record<string, readonly [reason: string, hint?: string]>> = {
  ENOENT: absent,
  ECONNREFUSED: absent,
  EACCES: ['may not be asked by this user', 'Run the command as root.'],
  EPERM: ['may not be asked by this user', 'Run the command as root.'],
  ENOTFOUND: ['has a host name that is not known'],
  EAI_AGAIN: ['has a host name that cannot be looked up'],
  EHOSTUNREACH: ['cannot be reached'],
  ENETUNREACH: ['cannot be reached'],
  ECONNRESET: cut,
  EPIPE: cut,
  UND_ERR_SOCKET: cut,
  UND_ERR_CONNECT_TIMEOUT: silent,
  UND_ERR_HEADERS_TIMEOUT: silent,
  UND_ERR_BODY_TIMEOUT: silent,
  HTTPParserError: ['does not speak HTTP', 'Check the address in DOCKER_HOST.'],
}

function unusable(address: string, reason: string, hint: string, cause?: unknown): ForerunError {
  return new ForerunError('archive', `the Docker daemon at ${shownWords(address)} ${reason}`, { hint, cause })
}

const messageSchema = v.object({ message: v.string() })

function messageOf(body: string): string | undefined {
  const document = v.safeParse(v.pipe(v.string(), v.parseJson(), messageSchema), body.slice(0, 10_000))
  return document.success ? document.output.message : undefined
}
