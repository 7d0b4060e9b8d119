import { Readable } from 'node:stream'
import { ForerunError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import type { TransferContext } from '../../source.ts'
import type { BlobContent, BlobOutcome } from '../../target.ts'
import { type Answer, dropBody } from '../transport/answer.ts'
import { AttemptFailure, displayUrl, misbehaving } from '../transport/failure.ts'
import { nominalOrigin } from '../transport/nominal-origin.ts'
import type { Registry } from '../transport/registry.ts'
import { countRetries } from '../transport/retries.ts'
import { askToWrite } from './ask-to-write.ts'
import { requestFromRepository } from './request.ts'

/** What is uploaded, and for whom. */
interface Upload {
  readonly content: BlobContent
  readonly context: TransferContext
}

/**
 * Brings a blob into the repository: there already, mounted from a neighbour, or sent in one piece (distribution specification,
 * "Pushing Blobs"). An upload that fails in a way that may pass is begun again, as often as the settings say.
 *
 * @throws ForerunError, and what the content throws.
 */
export async function uploadBlob(registry: Registry, descriptor: Descriptor, upload: Upload): Promise<BlobOutcome> {
  const { content, context } = upload
  const url = new URL(
    `/v2/${registry.reference.path}/blobs/uploads/`,
    registry.origin ?? nominalOrigin(registry.reference),
  )
  const retries = countRetries(registry, url, context)
  for (let neighbours = neighbourPaths(registry, content); ; neighbours = []) {
    try {
      if (await hasBlob(registry, descriptor, context)) return 'present'
      const session = await mountOrBegin(registry, descriptor, { neighbours, context })
      if (session === 'mounted') return 'mounted'
      await send(registry, descriptor, { session, ...upload })
      return 'sent'
    } catch (error) {
      await retries.next(error)
    }
  }
}

/** Each costs a request, and the first ones are the likely ones. */
const mostMounts = 3

function neighbourPaths({ reference: { domain, path } }: Registry, { neighbours }: BlobContent): string[] {
  const paths = neighbours
    .filter((name) => name.startsWith(`${domain}/`))
    .map((name) => name.slice(domain.length + 1))
    .filter((neighbour) => neighbour !== path)
  return [...new Set(paths)].slice(0, mostMounts)
}

async function hasBlob(registry: Registry, descriptor: Descriptor, context: TransferContext): Promise<boolean> {
  const answer = await requestFromRepository(registry, `blobs/${descriptor.digest}`, {
    ...{ method: 'HEAD', scope: { actions: 'pull,push' }, context },
    // What a registry does not want to tell, or cannot, is found out by sending.
    accepted: [200, 401, 403, 404, 405],
  })
  dropBody(answer)
  const length = answer.header('content-length')
  return answer.status === 200 && (length === undefined || Number(length) === descriptor.size)
}

/** @returns the address to send the blob to, or that it need not be sent. */
async function mountOrBegin(
  registry: Registry,
  descriptor: Descriptor,
  { neighbours, context }: { neighbours: readonly string[]; context: TransferContext },
): Promise<URL | 'mounted'> {
  let session: URL | undefined
  for (const neighbour of neighbours) {
    const answer = await tryMount(registry, descriptor, { neighbour, context })
    if (answer?.status === 201) return 'mounted'
    // The registry took the request for the beginning of an upload: it does not have it there, or does not mount.
    if (answer?.status === 202) session = uploadAddress(answer)
  }
  if (session !== undefined) return session
  const answer = await askToWrite(registry, 'blobs/uploads/', {
    ...{ what: `blob ${descriptor.digest}`, method: 'POST', accepted: [202], context },
  })
  dropBody(answer)
  return uploadAddress(answer)
}

/** undefined when it was refused, as it is where the neighbour may not be read. */
async function tryMount(
  registry: Registry,
  { digest }: Descriptor,
  { neighbour, context }: { neighbour: string; context: TransferContext },
): Promise<Answer | undefined> {
  const query = new URLSearchParams({ mount: digest, from: neighbour })
  try {
    const answer = await requestFromRepository(registry, `blobs/uploads/?${query}`, {
      ...{ method: 'POST', accepted: [201, 202], context },
      scope: { actions: 'pull,push', mountFrom: neighbour },
    })
    dropBody(answer)
    return answer
  } catch (error) {
    if (error instanceof ForerunError && ['registry', 'unauthorized'].includes(error.code)) return undefined
    throw error
  }
}

function uploadAddress({ url, header }: Answer): URL {
  const location = header('location')
  if (location === undefined || !URL.canParse(location, url.href)) {
    throw misbehaving(url, 'begins an upload without an address to send it to')
  }
  const address = new URL(location, url)
  if (address.protocol !== 'https:' && address.protocol !== url.protocol) {
    throw new ForerunError('registry', `${url.host} wants the upload without TLS (${displayUrl(address)})`, {
      hint: 'The registry, or the proxy before it, has to be set up to name https addresses.',
    })
  }
  return address
}

/** Statuses of a registry that knows nothing of an upload that it has begun. */
const sessionLost = [404, 416]

/** Distribution specification, "Single POST" then PUT. The registry checks the digest, too. */
async function send(
  registry: Registry,
  descriptor: Descriptor,
  { session, content, context }: Upload & { session: URL },
): Promise<void> {
  const { digest, size } = descriptor
  let failed: { readonly reason: unknown } | undefined
  const watched = () =>
    watch(content.open(), (reason) => {
      failed = { reason }
    })
  try {
    const answer = await askToWrite(patient(registry, size), withDigest(session, digest), {
      ...{ what: `blob ${digest}`, method: 'PUT', accepted: [200, 201, 204, ...sessionLost], context },
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
      body: () => Readable.from(watched(), { objectMode: false }),
    })
    dropBody(answer)
    if (sessionLost.includes(answer.status)) throw lostUpload(answer, digest)
  } catch (error) {
    // The transfer fails with its content, in words of its own.
    throw failed === undefined ? error : failed.reason
  }
}

function lostUpload({ url, status }: Answer, digest: string): AttemptFailure {
  return new AttemptFailure(
    new ForerunError('registry', `${url.host} has lost the upload of blob ${digest} (${status})`, {
      hint: 'It may have been restarted, or be several registries that do not share what they store. Try again.',
    }),
  )
}

/** Only what the content itself throws is told, not what ends its reading. */
async function* watch(
  content: AsyncIterable<Buffer>,
  onFailure: (reason: unknown) => void,
): AsyncGenerator<Buffer, void, undefined> {
  const chunks = content[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value } = await chunks.next().catch((reason: unknown) => {
        onFailure(reason)
        throw reason
      })
      if (done === true) return
      yield value
    }
  } finally {
    await chunks.return?.()
  }
}

/** Beside the query that the address has, no byte of which may change: it may be signed. */
function withDigest(session: URL, digest: string): URL {
  const url = new URL(session)
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`
  return url
}

/** A registry may copy what it got to its storage before it answers; 10 MB in a second are slow for that. */
function patient(registry: Registry, size: number): Registry {
  const headersTimeout = registry.settings.headersTimeout + size / 10_000
  return { ...registry, settings: { ...registry.settings, headersTimeout } }
}
