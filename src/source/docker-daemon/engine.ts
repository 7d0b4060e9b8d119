import { Pool } from 'undici'
import { ForerunError } from '../../errors.ts'
import { shownWords } from '../../image/reference.ts'
import { checkInterrupted } from '../file-fault.ts'
import { largestDocument } from '../image-parts.ts'
import type { TransferContext } from '../source.ts'
import { engineFailure, refusal } from './engine-failure.ts'

/** The API of a Docker Engine, or of what speaks it too: Podman's service. */
export interface Engine extends AsyncDisposable {
  /** A whole document. */
  document(path: string, context: TransferContext): Promise<Buffer>
  /** The bytes of an answer, no faster than they are taken. Leaving early closes the connection. */
  stream(path: string, context: TransferContext): AsyncGenerator<Buffer, void, undefined>
}

/**
 * Nothing is connected before the first call. Calls throw ForerunErrors: `image-not-found` for what the daemon does not have, `archive`
 * for a daemon that is not there or refuses, `limit`, `interrupted`.
 *
 * @param address as in `DOCKER_HOST`: `unix://PATH`, `tcp://HOST:PORT`.
 * @throws ForerunError `archive` for an address of another kind.
 */
export function openEngine(address: string): Engine {
  const { origin, socketPath } = parseAddress(address)
  const pool = new Pool(origin, { connect: { timeout: 10_000, ...(socketPath !== undefined && { socketPath }) } })

  async function* stream(path: string, context: TransferContext): AsyncGenerator<Buffer, void, undefined> {
    const { signal } = context
    try {
      const { statusCode, body } = await pool.request({ method: 'GET', path, signal, headersTimeout, bodyTimeout })
      if (statusCode !== 200) throw refusal(statusCode, await beginning(body), address)
      for await (const bytes of body) yield bytes as Buffer
    } catch (error) {
      checkInterrupted(context)
      throw engineFailure(error, address)
    }
  }

  return {
    stream,
    async document(path, context) {
      const parts: Buffer[] = []
      let length = 0
      for await (const bytes of stream(path, context)) {
        length += bytes.length
        if (length > largestDocument) throw tooLong(address)
        parts.push(bytes)
      }
      return Buffer.concat(parts)
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  }
}

/** Of what a daemon says instead of an image: it may not end. */
async function beginning(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let length = 0
  for await (const bytes of body) {
    parts.push(bytes)
    length += bytes.length
    if (length > longestRefusal) break
  }
  return Buffer.concat(parts).toString('utf8')
}

const longestRefusal = 16_384

/** Before version 25 Docker writes the whole image to its own disk before it sends the first byte. */
const headersTimeout = 15 * 60 * 1000
const bodyTimeout = 5 * 60 * 1000

function parseAddress(address: string): { origin: string; socketPath?: string } {
  const [, scheme = '', rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(address) ?? []
  if (scheme === 'unix' && rest.startsWith('/')) return { origin: 'http://docker', socketPath: rest }
  const isPlain = scheme === 'tcp' || scheme === 'http'
  if (isPlain && URL.canParse(`http://${rest}`)) {
    if (!process.env.DOCKER_TLS_VERIFY) return { origin: new URL(`http://${rest}`).origin }
    throw unusable(address, 'wants TLS (DOCKER_TLS_VERIFY), which is not spoken with a Docker daemon')
  }
  throw unusable(address, 'is no address that forerun reaches a Docker daemon at')
}

function unusable(address: string, reason: string): ForerunError {
  const hint = 'Use unix:///PATH or tcp://HOST:PORT, or docker save the image and install it from docker-archive:FILE.'
  return new ForerunError('archive', `DOCKER_HOST '${shownWords(address)}' ${reason}`, { hint })
}

function tooLong(address: string): ForerunError {
  return new ForerunError('limit', `the daemon at ${shownWords(address)} describes the image in more than 4 MiB`, {
    hint: 'Check that it is a Docker daemon.',
  })
}
