import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSettings } from '../../../src/config/settings.ts'
import { ForerunError } from '../../../src/errors.ts'
import type { ForerunEvent } from '../../../src/events.ts'
import { hostPaths } from '../../../src/host/paths.ts'
import type { Descriptor } from '../../../src/image/descriptor.ts'
import { type Digest, digestOf } from '../../../src/image/digest.ts'
import { formatFullLocation } from '../../../src/image/location.ts'
import type { Context, SourceOptions } from '../../../src/operations/context.ts'
import { push } from '../../../src/operations/transfer/push.ts'
import type { ImageSource } from '../../../src/source/source.ts'
import type { ImageTarget } from '../../../src/source/target.ts'
import { blobPath, readImageIndex, writeBlob, writeImageIndex } from '../../../src/store/image-index.ts'
import { scratch, threads } from '../../store/scratch.ts'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const layer = randomBytes(499_999)
const other = randomBytes(200_000)
const name = 'registry.example/team/app:1'

test('what is kept in the store arrives byte for byte, the manifest last', async () => {
  using lab = new Lab()
  const image = lab.store([layer, other], { names: [name], origins: [] })
  for (const bytes of [layer, other]) writeBlob(lab.folder, digestOf(bytes), bytes)
  const digestfile = join(lab.folder, 'digest')
  const result = await lab.push(name, { destination: 'other.example/copy', digestfile })
  assert.deepEqual(lab.written, [digestOf(layer), digestOf(other), image.id, 'manifest'].sort(byPlace(lab.written)))
  assert.equal(lab.written.at(-1), 'manifest')
  assert.ok(lab.manifest?.equals(image.manifest))
  assert.ok([layer, other, image.configuration].every((bytes) => lab.blobs.get(digestOf(bytes))?.equals(bytes)))
  assert.deepEqual([result.destination, result.manifest], ['other.example/copy:latest', digestOf(image.manifest)])
  assert.deepEqual(
    result.layers.map(({ outcome }) => outcome),
    ['sent', 'sent'],
  )
  assert.equal(readFileSync(digestfile, 'utf8'), digestOf(image.manifest))
  assert.deepEqual(lab.opened, [])
})

test('a layer that the manifest holds is not looked for', async () => {
  using lab = new Lab()
  lab.store([layer], { names: [name], origins: [], embed: true })
  await lab.push(name)
  assert.ok(lab.blobs.get(digestOf(layer))?.equals(layer))
})

test('without a kept blob the origins give the layer, the latest first, and names after them', async () => {
  using lab = new Lab()
  lab.store([layer], { names: [name], origins: ['oci:/gone', 'docker.io/library/app:2'] })
  lab.places.set(name, layer)
  await lab.push(name)
  assert.deepEqual(lab.opened, ['oci:/gone', 'docker.io/library/app:2', name])
  assert.ok(lab.blobs.get(digestOf(layer))?.equals(layer))
  assert.equal(lab.open, 0)
})

test('an image that shares the layer tells of further places, and of repositories to mount from', async () => {
  using lab = new Lab()
  lab.store([layer], { names: [name], origins: ['oci:/srv/app'] })
  lab.store([layer, other], { names: ['registry.example/team/big:1'], origins: ['docker.io/library/big:1'] })
  lab.store([other], { names: ['registry.example/stranger:1'], origins: [] })
  lab.places.set('docker.io/library/big:1', layer)
  await lab.push(name)
  assert.deepEqual(lab.neighbours.get(digestOf(layer)), [
    'registry.example/team/app',
    'docker.io/library/big',
    'registry.example/team/big',
  ])
  assert.deepEqual(lab.opened, ['oci:/srv/app', name, 'docker.io/library/big:1'])
})

test('a place that fails in the middle is left for the next, from the same byte', async () => {
  using lab = new Lab()
  lab.store([layer], { names: [name], origins: ['docker.io/a/short:1', 'docker.io/a/broken:1', 'docker.io/a/good:1'] })
  lab.places.set('docker.io/a/short:1', layer.subarray(0, 100_000))
  lab.places.set('docker.io/a/broken:1', new ForerunError('registry', 'the line broke'), {
    after: 250_000,
    bytes: layer,
  })
  lab.places.set('docker.io/a/good:1', layer)
  await lab.push(name)
  assert.ok(lab.blobs.get(digestOf(layer))?.equals(layer))
  assert.deepEqual(lab.offsets, [0, 100_000, 250_000])
})

test('a place with wrong bytes is told of, and the layer sent again from the next', async () => {
  using lab = new Lab()
  lab.store([layer], { names: [name], origins: ['docker.io/a/liar:1', 'docker.io/a/long:1', 'docker.io/a/good:1'] })
  lab.places.set('docker.io/a/liar:1', Buffer.alloc(layer.length))
  lab.places.set('docker.io/a/long:1', Buffer.concat([layer, layer]))
  lab.places.set('docker.io/a/good:1', layer)
  await lab.push(name)
  assert.ok(lab.blobs.get(digestOf(layer))?.equals(layer))
  assert.deepEqual(
    lab.events.flatMap((event) =>
      event.type === 'notice' ? [/from \S+ has (?:other|more)/.exec(event.message)?.[0]] : [],
    ),
    ['from docker.io/a/liar:1 has other', 'from docker.io/a/long:1 has more'],
  )
})

test('of a damaged kept blob nothing is sent as the layer', async () => {
  using lab = new Lab()
  lab.store([layer], { names: [name], origins: ['docker.io/a/good:1'] })
  lab.places.set('docker.io/a/good:1', layer)
  for (const damaged of [Buffer.alloc(layer.length), layer.subarray(1), Buffer.alloc(0)]) {
    writeBlob(lab.folder, digestOf(layer), damaged)
    lab.blobs.clear()
    await lab.push(name)
    assert.ok(lab.blobs.get(digestOf(layer))?.equals(layer))
  }
})

test('a layer that nothing has any more is one error that names it and what was tried', async () => {
  using lab = new Lab()
  lab.store([layer, other], { names: [name], origins: ['oci:/gone'] })
  writeBlob(lab.folder, digestOf(other), other)
  const message = new RegExp(
    `^layer ${digestOf(layer)} \\(499999 bytes\\) is nowhere .*: the store has not kept it; oci:/gone: nothing is there; ${name}: nothing is there$`,
  )
  await assert.rejects(lab.push(name, { destination: 'other.example/x' }), {
    ...{ code: 'image-not-found', message, hint: /keep-blobs=yes/ },
  })
  assert.equal(lab.manifest, undefined)
  assert.equal(lab.open, 0)
})

test('a layer that the target has is not looked for', async () => {
  using lab = new Lab()
  lab.store([layer], { names: [name], origins: ['oci:/gone'] })
  lab.blobs.set(digestOf(layer), layer)
  const { layers } = await lab.push(name)
  assert.deepEqual(
    layers.map(({ outcome }) => outcome),
    ['present'],
  )
  assert.deepEqual(lab.opened, [])
})

test('credentials of the target are for its registry alone', async () => {
  using lab = new Lab()
  const options = { creds: 'ann:secret', tlsVerify: false, certDir: '/x', authfile: '/auth.json' }
  lab.store([layer], { names: [name], origins: ['docker.io/a/gone:1', 'target.example/old:1'] })
  lab.places.set(name, layer)
  await lab.push(name, { ...options, destination: 'target.example/new:1' })
  assert.deepEqual(lab.reached, [{ authfile: '/auth.json' }, options, { authfile: '/auth.json' }])
})

test('an archive is asked for its manifest before it is read, and closed', async () => {
  using lab = new Lab()
  const archive = 'docker-archive:/srv/a.tar'
  lab.store([layer], { names: [name], origins: [archive] })
  lab.places.set(archive, layer)
  await lab.push(name, { destination: 'other.example/x' })
  assert.deepEqual([lab.opened, lab.manifestsAsked, lab.open], [[archive], 1, 0])
  assert.ok(lab.blobs.get(digestOf(layer))?.equals(layer))
})

test('an image of several names goes to the one by which it was called; by its id the destination must be said', async () => {
  using lab = new Lab()
  const { id } = lab.store([], { names: [name, 'docker.io/library/app:1'], origins: [] })
  assert.equal((await lab.push('docker.io/app:1')).destination, 'docker.io/library/app:1')
  assert.equal((await lab.push(name)).destination, name)
  await assert.rejects(lab.push(id.slice(7, 19)), { code: 'usage', message: /has 2 names/ })
  assert.equal((await lab.push(id, { destination: 'docker://x.example/y' })).destination, 'x.example/y:latest')
  await assert.rejects(lab.push('nothing'), { code: 'image-not-found' })
})

test('a digest file that cannot be written is told of', async () => {
  using lab = new Lab()
  lab.store([], { names: [name], origins: [] })
  const digestfile = join(lab.folder, 'no/such/folder')
  await assert.rejects(lab.push(name, { digestfile }), { code: 'host-file', message: /is pushed, but/ })
})

test('a layer that the image has twice is sent once', async () => {
  using lab = new Lab()
  lab.store([layer, other, layer], { names: [name], origins: [] })
  for (const bytes of [layer, other]) writeBlob(lab.folder, digestOf(bytes), bytes)
  assert.equal((await lab.push(name)).layers.length, 2)
})

test('a failure ends the other uploads, and is what the user is told', async () => {
  using lab = new Lab()
  lab.store([layer, other], { names: [name], origins: [] })
  writeBlob(lab.folder, digestOf(other), other)
  lab.places.set(name, 'hang')
  lab.refused = digestOf(other)
  await assert.rejects(lab.push(name, { destination: 'other.example/x' }), { code: 'unauthorized' })
  assert.deepEqual([lab.manifest, lab.open], [undefined, 0])
})

test('a lost manifest is told of before anything is written', async () => {
  using lab = new Lab()
  const image = lab.store([layer], { names: [name], origins: [] })
  rmSync(blobPath(lab.folder, digestOf(image.manifest)))
  await assert.rejects(lab.push(name), { code: 'store' })
  writeFileSync(blobPath(lab.folder, digestOf(image.manifest)), image.manifest)
  rmSync(blobPath(lab.folder, image.id))
  await assert.rejects(lab.push(name), { code: 'store' })
  assert.deepEqual(lab.written, [])
})

/** Keeps the order of two lists that may differ in it. */
function byPlace(order: readonly string[]): (a: string, b: string) => number {
  return (a, b) => order.indexOf(a) - order.indexOf(b)
}

type Fault = { readonly after: number; readonly bytes: Buffer }

/** A store, places with one blob each, and a target in memory. */
class Lab {
  readonly #scratch = scratch()
  readonly folder = this.#scratch.path
  readonly events: ForerunEvent[] = []
  readonly blobs = new Map<Digest, Buffer>()
  readonly written: string[] = []
  readonly neighbours = new Map<Digest, readonly string[]>()
  readonly opened: string[] = []
  readonly reached: SourceOptions[] = []
  readonly offsets: number[] = []
  readonly places = new (class extends Map<string, Buffer | 'hang' | { error: Error; fault: Fault }> {
    override set(
      place: string,
      content: Buffer | 'hang' | { error: Error; fault: Fault } | Error,
      fault?: Fault,
    ): this {
      return super.set(place, content instanceof Error && fault ? { error: content, fault } : (content as Buffer))
    }
  })()
  manifest: Buffer | undefined
  manifestsAsked = 0
  refused: Digest | undefined
  /** Sources and readings that have not been closed. */
  open = 0

  /** Enters an image that was pulled with these layers. */
  store(
    layers: readonly Buffer[],
    { names, origins, embed = false }: { names: string[]; origins: string[]; embed?: boolean },
  ): { id: Digest; manifest: Buffer; configuration: Buffer } {
    const diffIds = layers.map((bytes) => digestOf(bytes))
    const rootfs = { type: 'layers', diff_ids: diffIds }
    const configuration = json({ os: 'linux', architecture: 'amd64', config: {}, rootfs, names })
    const manifest = json({
      ...{ schemaVersion: 2, mediaType: manifestType },
      config: described('application/vnd.oci.image.config.v1+json', configuration),
      layers: layers.map((bytes) => ({
        ...described('application/vnd.oci.image.layer.v1.tar', bytes),
        ...(embed && { data: bytes.toString('base64') }),
      })),
    })
    const id = digestOf(configuration)
    writeBlob(this.folder, id, configuration)
    writeBlob(this.folder, digestOf(manifest), manifest)
    const sizes = { transferSize: 0, treeSize: 0, pulled: 0 }
    const record = { manifest: digestOf(manifest), id, names, diffIds, origins, accepted: [], ...sizes }
    writeImageIndex(this.folder, [...readImageIndex(this.folder), record])
    return { id, manifest, configuration }
  }

  push(words: string, options: Parameters<typeof push>[1] = {}): ReturnType<typeof push> {
    const context: Context = {
      version: '0',
      settings: readSettings({ root: this.folder }),
      paths: hostPaths({ store: this.folder, containers: join(this.folder, 'containers') }),
      emit: (event) => this.events.push(event),
      signal: new AbortController().signal,
      threads,
      candidates: async (location) => [location],
      source: async (location, reach) => this.#source(formatFullLocation(location), reach),
      target: async (location) => this.#target(formatFullLocation(location)),
      manager: () => Promise.reject(new Error('no systemd is needed')),
    }
    return push(words, options, context)
  }

  #source(place: string, reach: SourceOptions): ImageSource {
    const lab = this
    lab.opened.push(place)
    lab.reached.push(reach)
    lab.open += 1
    return {
      isRemote: true,
      manifest() {
        lab.manifestsAsked += 1
        return Promise.resolve({} as Awaited<ReturnType<ImageSource['manifest']>>)
      },
      async *blob(_, { signal }, { offset = 0 } = {}) {
        lab.open += 1
        try {
          lab.offsets.push(offset)
          const content = lab.places.get(place)
          if (content === undefined) throw new ForerunError('registry', 'nothing is there')
          if (content === 'hang') {
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
            throw new ForerunError('interrupted', 'interrupted')
          }
          const { bytes, after } = Buffer.isBuffer(content) ? { bytes: content, after: content.length } : content.fault
          for (let at = offset; at < after; at += 10_000) yield bytes.subarray(at, Math.min(at + 10_000, after))
          if (!Buffer.isBuffer(content)) throw content.error
        } finally {
          lab.open -= 1
        }
      },
      signatures: async () => ({ simple: [], sigstore: [] }),
      async [Symbol.asyncDispose]() {
        lab.open -= 1
      },
    }
  }

  #target(place: string): ImageTarget {
    const lab = this
    return {
      name: place,
      async writeBlob({ digest }: Descriptor, content) {
        lab.neighbours.set(digest, content.neighbours)
        if (lab.blobs.has(digest)) return 'present'
        if (lab.refused === digest) throw new ForerunError('unauthorized', 'not you')
        const bytes = Buffer.concat(await Array.fromAsync(content.open()))
        assert.equal(digestOf(bytes), digest)
        lab.blobs.set(digest, bytes)
        lab.written.push(digest)
        return 'sent'
      },
      async writeManifest({ bytes }) {
        lab.manifest = bytes
        lab.written.push('manifest')
      },
      async [Symbol.asyncDispose]() {},
    }
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]()
  }
}

function described(mediaType: string, bytes: Buffer) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
