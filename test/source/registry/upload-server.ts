import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ForerunEvent } from '../../../src/events.ts'
import type { Descriptor } from '../../../src/image/descriptor.ts'
import { digestOf } from '../../../src/image/digest.ts'
import { parseReference } from '../../../src/image/reference.ts'
import { registryTarget } from '../../../src/source/registry/registry-target.ts'
import type { RegistryOptions } from '../../../src/source/registry/transport/registry.ts'
import type { TransferContext } from '../../../src/source/source.ts'
import type { BlobContent } from '../../../src/source/target.ts'
import { quick } from './reading.ts'
import type { Handler } from './server.ts'

export interface UploadServer {
  readonly handler: Handler
  /** `REPOSITORY digest` of what was stored. */
  readonly blobs: Map<string, Buffer>
  readonly manifests: Map<string, { readonly type: string | undefined; readonly bytes: Buffer }>
  /** `METHOD path?query` in order, without HEAD. */
  readonly log: string[]
  /** Called first; true: it has answered. */
  fault: (request: IncomingMessage, response: ServerResponse) => boolean
  /** What to name as the address of an upload. */
  location: (session: string) => string
}

/** A registry that takes images, as far as the specification wants. */
export function uploadServer(): UploadServer {
  let sessions = 0
  const server: UploadServer = {
    blobs: new Map(),
    manifests: new Map(),
    log: [],
    fault: () => false,
    location: (session) => session,
    handler(request, response) {
      const url = new URL(request.url ?? '/', 'http://registry')
      if (request.method !== 'HEAD' && url.pathname !== '/v2/') server.log.push(`${request.method} ${request.url}`)
      if (server.fault(request, response)) return
      const [, repository = '', rest = ''] = /^\/v2\/(.+?)\/((?:blobs|manifests)\/.*)$/.exec(url.pathname) ?? []
      const [kind, name = '', session] = rest.split('/')
      if (request.method === 'HEAD') {
        const bytes = server.blobs.get(`${repository} ${name}`)
        return void response.writeHead(bytes === undefined ? 404 : 200, { 'content-length': bytes?.length ?? 0 }).end()
      }
      if (request.method === 'POST') {
        const mounted = server.blobs.get(`${url.searchParams.get('from')} ${url.searchParams.get('mount')}`)
        if (mounted !== undefined) server.blobs.set(`${repository} ${url.searchParams.get('mount')}`, mounted)
        const location = server.location(`/v2/${repository}/blobs/uploads/${++sessions}`)
        return void response.writeHead(mounted === undefined ? 202 : 201, { location }).end()
      }
      if (request.method !== 'PUT') return void response.writeHead(url.pathname === '/v2/' ? 200 : 405).end()
      whole(request).then(
        (bytes) => {
          const digest = digestOf(bytes)
          if (kind === 'manifests')
            server.manifests.set(`${repository}:${name}`, { type: request.headers['content-type'], bytes })
          else if (session === undefined || digest !== url.searchParams.get('digest'))
            return response.writeHead(400).end()
          else server.blobs.set(`${repository} ${digest}`, bytes)
          return response.writeHead(201, { 'docker-content-digest': digest }).end()
        },
        () => {},
      )
    },
  }
  return server
}

/** The body of a request. Rejects when the connection is cut. */
export async function whole(request: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(request))
}

/** A target for `HOST/team/app:1`, what it emits, and a way to abort it. */
export function writing(host: string, options: RegistryOptions = {}, name = 'team/app:1') {
  const controller = new AbortController()
  const events: ForerunEvent[] = []
  const context: TransferContext = { signal: controller.signal, emit: (event) => events.push(event) }
  const target = registryTarget(parseReference(`${host}/${name}`), { ...quick, ...options })
  return { target, context, events, controller, retries: () => events.filter(({ type }) => type === 'retry') }
}

export interface TestBlob extends BlobContent {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
  /** How often it was opened, and how often what was opened was let go. */
  opened: number
  closed: number
}

/** Content in pieces of 64 KiB. */
export function blobOf(bytes: Buffer, neighbours: readonly string[] = []): TestBlob {
  const blob: TestBlob = {
    descriptor: {
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: digestOf(bytes),
      size: bytes.length,
    },
    bytes,
    neighbours,
    opened: 0,
    closed: 0,
    async *open() {
      blob.opened += 1
      try {
        for (let start = 0; start < bytes.length; start += 65_536) yield bytes.subarray(start, start + 65_536)
      } finally {
        blob.closed += 1
      }
    },
  }
  return blob
}
