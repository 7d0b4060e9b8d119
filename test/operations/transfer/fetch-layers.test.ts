import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import type { ForerunEvent } from '../../../src/events.ts'
import type { LayerLimits } from '../../../src/image/layer-limits.ts'
import { parseLocation } from '../../../src/image/location.ts'
import type { Context } from '../../../src/operations/context.ts'
import { pullImage } from '../../../src/operations/transfer/pull.ts'
import { imageTree } from '../../../src/store/image.ts'
import { objectPath } from '../../../src/store/object.ts'
import { resolvePath } from '../../../src/tree/resolve.ts'
import { assembleImage } from '../../lab/image.ts'
import { layerOf, packLayer } from '../../lab/layer.ts'
import { endOfArchive, header, member, pax } from '../../layer/archive.ts'
import { scratch } from '../../store/scratch.ts'
import { contextIn, countedSource } from '../image-source.ts'

type LabLayer = ReturnType<typeof layerOf>

function pull(layers: readonly LabLayer[], context: Partial<Context> & { folder: string; events?: ForerunEvent[] }) {
  const { folder, events, ...more } = context
  const image = assembleImage([...layers])
  return pullImage(
    parseLocation('example.org/app:1'),
    {},
    { ...contextIn(folder, countedSource(image), events), ...more },
  )
}

/** A file of holes alone. */
function holes(name: string, size: number): LabLayer {
  const map: [string, string][] = [
    ['GNU.sparse.size', String(size)],
    ['GNU.sparse.map', ''],
  ]
  return layerOf(Buffer.concat([pax(map), header({ name }), endOfArchive]))
}

function limited(folder: string, limits: Partial<LayerLimits>): Pick<Context, 'settings'> {
  const { settings } = contextIn(folder, countedSource(assembleImage([])))
  return { settings: { ...settings, limits: { ...settings.limits, ...limits } } }
}

const gibibyte = 1024 ** 3

describe('an image', () => {
  it('with a file of 60 GiB in a layer of some bytes is pulled, and takes no room', async () => {
    using folder = scratch()
    const layer = holes('big', 60 * gibibyte)
    assert.ok(layer.bytes.length < 300)
    const { record } = await pull([layer], { folder: folder.path })
    const store = join(folder.path, 'store')
    const tree = imageTree(store, record)
    const node = tree && resolvePath(tree, 'big')
    const { size, blocks } = statSync(objectPath(store, node?.kind === 'file' ? node.object : ''))
    assert.deepEqual([record.treeSize, size, blocks < 64], [60 * gibibyte, 60 * gibibyte, true])
  })

  it('is limited in the bytes of all its layers, whichever the store has', async () => {
    using folder = scratch()
    const layers = [holes('a', gibibyte), holes('b', gibibyte), holes('c', gibibyte)]
    const limits = limited(folder.path, { imageSize: 3 * gibibyte - 1 })
    const complaint = { code: 'limit', message: /more than 3221225471 bytes in the files of the image/ }
    await assert.rejects(pull(layers, { folder: folder.path, ...limits }), complaint)
    await pull(layers.slice(0, 2), { folder: folder.path, ...limits })
    await assert.rejects(pull(layers, { folder: folder.path, ...limits }), complaint)
    await pull(layers, { folder: folder.path, ...limited(folder.path, { imageSize: 3 * gibibyte }) })
  })

  it('is limited in the entries of all its layers', async () => {
    using folder = scratch()
    const layers = [await packLayer({ a: '', b: '' }), await packLayer({ c: '', d: '' })]
    await assert.rejects(pull(layers, { folder: folder.path, ...limited(folder.path, { imageEntries: 3 }) }), {
      code: 'limit',
      message: /more than 3 entries in the image/,
      hint: /raise 'image-entries' under \[limits\]/,
    })
    await pull(layers, { folder: folder.path, ...limited(folder.path, { imageEntries: 4 }) })
  })

  it('with attributes of another system is pulled without them, and says which', async () => {
    using folder = scratch()
    const events: ForerunEvent[] = []
    const attribute = pax([['SCHILY.xattr.com.apple.provenance', 'x']])
    const layer = layerOf(Buffer.concat([attribute, member({ name: 'app' }, 'hi'), endOfArchive]))
    await pull([layer], { folder: folder.path, events })
    const notices = events.flatMap((event) => (event.type === 'notice' ? [event.message] : []))
    assert.equal(notices.length, 1)
    assert.match(notices[0] ?? '', /^Left out of layer sha256:\w+ extended attributes.*: 'com.apple.provenance'$/)
  })
})

describe('an interruption', () => {
  /** So many zeros that the last bytes of the blob are seconds of work; more would pass a limit. */
  const count = 8
  const zeros = zstdCompressSync(Buffer.alloc(512 * 1024 ** 2))

  for (const [where, padding] of Object.entries({ 'in the main thread': 3_900_000, 'in threads': 5_000_000 })) {
    it(`ends the unpacking of a layer ${where} whose blob has come whole`, async () => {
      using folder = scratch()
      const size = count * 512 * 1024 ** 2
      const start = header({ name: 'zeros', size })
      const skippable = Buffer.alloc(8)
      skippable.writeUInt32LE(0x184d2a50)
      skippable.writeUInt32LE(padding, 4)
      const frames = [skippable, Buffer.alloc(padding), zstdCompressSync(start), ...Array<Buffer>(count).fill(zeros)]
      const bytes = Buffer.concat([...frames, zstdCompressSync(endOfArchive)])
      const interrupt = new AbortController()
      const layer = { ...layerOf(endOfArchive), bytes }
      const events: ForerunEvent[] = []
      const emit = (event: ForerunEvent): void => {
        events.push(event)
        if (event.type === 'layer-progress' && event.received === bytes.length) setTimeout(() => interrupt.abort(), 20)
      }
      await assert.rejects(pull([layer], { folder: folder.path, emit, signal: interrupt.signal }), {
        code: 'interrupted',
      })
    })
  }
})
