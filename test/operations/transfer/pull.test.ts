import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { ForerunError } from '../../../src/errors.ts'
import type { ForerunEvent } from '../../../src/events.ts'
import type { Digest } from '../../../src/image/digest.ts'
import { parseLocation } from '../../../src/image/location.ts'
import { parseManifest } from '../../../src/image/manifest.ts'
import { pullImage } from '../../../src/operations/transfer/pull.ts'
import { resolveManifest } from '../../../src/source/resolve-manifest.ts'
import type { ImageSource } from '../../../src/source/source.ts'
import { readWholeLayerTree } from '../../../src/store/layer-tree.ts'
import { assembleImage, type LabImage } from '../../lab/image.ts'
import { packLayer, sha256 } from '../../lab/layer.ts'
import { scratch } from '../../store/scratch.ts'
import { contextIn } from '../image-source.ts'

/** An image of two layers, of which the later one cannot be compressed. */
async function sampleOf(size: number) {
  const content = randomBytes(size)
  const image = assembleImage([await packLayer({ a: 'one' }), await packLayer({ b: content })])
  const [first, big] = [...image.blobs.keys()] as [Digest, Digest]
  return { image, content, layers: [first, big] as const, big, cutAt: Math.floor(0.6 * size) }
}

type Sample = Awaited<ReturnType<typeof sampleOf>>

const small = await sampleOf(200_000)
const samples = { here: small, 'in threads': await sampleOf(5_000_000) }

for (const [where, sample] of Object.entries(samples)) {
  const { layers, big, cutAt } = sample
  describe(`with a layer that is unpacked ${where}`, () => {
    it('a pull that was cut short goes on where it was, and leaves nothing behind in the end', async () => {
      using folder = scratch()
      const first = servedFrom(sample, { cutAt })
      await assert.rejects(pullFrom(first, folder.path), { code: 'registry', message: 'the line broke' })
      assert.deepEqual(partialNames(folder.path), layers.map(fileName).sort())
      const second = servedFrom(sample)
      const events = await pullFrom(second, folder.path)
      assert.deepEqual(second.asked, [{ digest: big, offset: cutAt }])
      const started = events.filter((event) => event.type === 'layer-started')
      assert.equal(started.find(({ digest }) => digest === big)?.kept, cutAt)
      assert.deepEqual(partialNames(folder.path), [])
      assertStored(folder.path, sample)
    })

    for (const [damage, spoil] of [
      ['a changed byte', (path: string) => writeFileSync(path, flipped(readFileSync(path), 60_000))],
      ['zeros in place of its end', (path: string) => writeFileSync(path, readFileSync(path).fill(0, 50_000))],
      ['an end that was cut off', (path: string) => truncateSync(path, 30_000)],
      ['more than there can be', (path: string) => writeFileSync(path, randomBytes(2 * sample.content.length))],
    ] as const) {
      it(`what was kept is verified with the rest: ${damage} leads to the right tree all the same`, async () => {
        using folder = scratch()
        await assert.rejects(pullFrom(servedFrom(sample, { cutAt }), folder.path))
        spoil(join(folder.path, 'store/partial', fileName(big)))
        await pullFrom(servedFrom(sample), folder.path)
        assertStored(folder.path, sample)
        assert.deepEqual(partialNames(folder.path), [])
      })
    }

    it('of a layer that lies nothing is kept', async () => {
      using folder = scratch()
      const liar = servedFrom(sample, { replacement: randomBytes(sample.image.blobs.get(big)?.length ?? 0) })
      await assert.rejects(pullFrom(liar, folder.path), { code: 'digest' })
      assert.deepEqual(partialNames(folder.path), [])
      assert.equal(existsSync(join(folder.path, 'store/images.json')), false)
    })

    it('wrong bytes are asked for elsewhere, where the source has another place', async () => {
      using folder = scratch()
      const liar = servedFrom(sample, {
        replacement: randomBytes(sample.image.blobs.get(big)?.length ?? 0),
        isTwofold: true,
      })
      await pullFrom(liar, folder.path)
      assert.equal(liar.asked.filter(({ digest }) => digest === big).length, 2)
      assertStored(folder.path, sample)
    })

    it('a source that is at hand is read without keeping anything', async () => {
      using folder = scratch()
      await assert.rejects(pullFrom(servedFrom(sample, { cutAt, isRemote: false }), folder.path))
      assert.deepEqual(partialNames(folder.path), [])
    })
  })
}

test('a source that can only be read forwards is read in its own order, one layer after the other', async () => {
  using folder = scratch()
  const source = servedFrom(small, { forwards: true })
  await pullFrom(source, folder.path)
  assert.deepEqual(
    source.asked.map(({ digest }) => digest),
    [...small.layers].reverse(),
  )
  assert.equal(source.mostAtOnce, 1)
})

test('what a manifest holds itself is not fetched, and an empty layer is one like others', async () => {
  using folder = scratch()
  const empty = await packLayer({})
  const full = await packLayer({ b: small.content })
  const source = servedFrom({ ...small, image: withEmbeddedBlobs(assembleImage([empty, full]), [0]) })
  await pullFrom(source, folder.path)
  assert.deepEqual(source.fetched, [sha256(full.bytes)])
  assertStored(folder.path, small)
})

type Served = ImageSource & {
  /** Of the layers. */
  readonly asked: { digest: string; offset: number }[]
  readonly fetched: string[]
  readonly mostAtOnce: number
}

/** A source in memory: what goes wrong has to go wrong at a certain byte. */
function servedFrom(
  { image: { blobs, manifests, digest }, layers, big }: Sample,
  faults: { cutAt?: number; replacement?: Buffer; isTwofold?: boolean; isRemote?: boolean; forwards?: boolean } = {},
): Served {
  const asked: Served['asked'] = []
  const fetched: string[] = []
  const read = async (wanted: string) => {
    const bytes = manifests.find((manifest) => manifest.digest === wanted)?.bytes ?? Buffer.alloc(0)
    return { bytes, digest: wanted as Digest, parsed: parseManifest(bytes) }
  }
  const piece = Math.ceil((blobs.get(big)?.length ?? 1) / 20)
  let open = 0
  let most = 0
  return {
    asked,
    fetched,
    get mostAtOnce() {
      return most
    },
    isRemote: faults.isRemote ?? true,
    async manifest(platform) {
      const resolved = await resolveManifest((descriptor) => read(descriptor?.digest ?? digest), platform)
      return { reference: 'example.org/app:1', ...resolved }
    },
    async *blob(descriptor, _context, { offset = 0 } = {}) {
      fetched.push(descriptor.digest)
      const isLayer = layers.includes(descriptor.digest)
      if (isLayer) asked.push({ digest: descriptor.digest, offset })
      most = Math.max(most, ++open)
      try {
        const honest = blobs.get(descriptor.digest) ?? Buffer.alloc(0)
        const bytes = descriptor.digest === big ? (faults.replacement ?? honest) : honest
        const end = descriptor.digest === big ? (faults.cutAt ?? bytes.length) : bytes.length
        for (let at = offset; at < end; at += piece) yield bytes.subarray(at, Math.min(at + piece, end))
        // The other layer, read at the same time, is to be whole.
        await new Promise((resolve) => setTimeout(resolve, end < bytes.length ? 100 : 1))
        if (end < bytes.length) throw new ForerunError('registry', 'the line broke')
      } finally {
        open -= 1
      }
    },
    ...(faults.isTwofold && {
      distrust() {
        delete faults.replacement
        return true
      },
    }),
    ...(faults.forwards && { forwardOrder: (wanted) => [...wanted].reverse() }),
    signatures: async () => ({ simple: [], sigstore: [] }),
    async [Symbol.asyncDispose]() {},
  }
}

/** The image with its configuration, and the layers of these numbers, in the manifest itself. */
function withEmbeddedBlobs({ blobs, manifests, ...image }: LabImage, numbers: readonly number[]): LabImage {
  const [{ mediaType, bytes } = { mediaType: '', bytes: Buffer.alloc(0) }] = manifests
  const embed = (descriptor: { digest: string }) => ({
    ...descriptor,
    data: blobs.get(descriptor.digest)?.toString('base64'),
  })
  const document = JSON.parse(bytes.toString())
  document.config = embed(document.config)
  for (const number of numbers) document.layers[number] = embed(document.layers[number])
  const changed = Buffer.from(JSON.stringify(document))
  const digest = sha256(changed)
  return { ...image, digest, blobs, manifests: [{ mediaType, bytes: changed, digest }] }
}

async function pullFrom(source: ImageSource, folder: string): Promise<ForerunEvent[]> {
  const events: ForerunEvent[] = []
  await pullImage(parseLocation('example.org/app:1'), {}, contextIn(folder, source, events))
  return events
}

function assertStored(folder: string, { content }: Sample): void {
  const index = JSON.parse(readFileSync(join(folder, 'store/images.json'), 'utf8'))
  assert.deepEqual(index.images[0].names, ['example.org/app:1'])
  for (const diffId of index.images[0].diffIds) {
    assert.notEqual(readWholeLayerTree(join(folder, 'store'), diffId), undefined)
  }
  const file = readWholeLayerTree(join(folder, 'store'), index.images[0].diffIds[1])?.find(({ path }) => path === 'b')
  assert.ok(file?.kind === 'file')
  const path = join(folder, 'store/objects', file.object.slice(0, 2), file.object.slice(2))
  assert.deepEqual(readFileSync(path), content)
}

function partialNames(folder: string): string[] {
  const path = join(folder, 'store/partial')
  return existsSync(path) ? readdirSync(path).sort() : []
}

function fileName(digest: string): string {
  return digest.replace(':', '-')
}

function flipped(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  return bytes
}
