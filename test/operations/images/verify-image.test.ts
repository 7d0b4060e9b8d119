import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setExtendedAttribute } from '../../../src/host/system-calls.ts'
import { parseLocation } from '../../../src/image/location.ts'
import { verifyImage } from '../../../src/operations/images/verify-image.ts'
import { pullImage } from '../../../src/operations/transfer/pull.ts'
import { assembleImage } from '../../lab/image.ts'
import { packLayer } from '../../lab/layer.ts'
import { scratch } from '../../store/scratch.ts'
import { contextIn, countedSource } from '../image-source.ts'

const name = 'example.org/app:1'
const shared = await packLayer({ 'usr/big': 'x'.repeat(2_000_000), 'usr/small': 'small' })
const image = assembleImage([shared, await packLayer({ 'usr/cap': { content: 'cap', xattrs: { 'user.a': 'b' } } })])
const other = assembleImage([shared], { config: { Labels: { version: '2' } } })

let place: ReturnType<typeof scratch>
let whole: string

before(async () => {
  place = scratch()
  whole = join(place.path, 'whole')
  await pullImage(parseLocation(name), {}, contextIn(whole, countedSource(image)))
})

after(() => place[Symbol.dispose]())

/** What is said of a copy of the store that something was done to. */
async function verdict(damage: (store: string) => void): Promise<{ files: number | undefined; notices: string[] }> {
  using copy = scratch()
  execFileSync('cp', ['-a', join(whole, 'store'), copy.path])
  damage(join(copy.path, 'store'))
  const events: Parameters<ReturnType<typeof contextIn>['emit']>[0][] = []
  const notices = (): string[] => events.flatMap((event) => (event.type === 'notice' ? [event.message] : []))
  try {
    const context = contextIn(copy.path, countedSource(image), events)
    return { files: (await verifyImage(name, { validate: true }, context)).files, notices: notices() }
  } catch (error) {
    assert.equal((error as { code: string }).code, 'store')
    return { files: undefined, notices: notices() }
  }
}

function objectOf(store: string, size: number): string {
  const folder = join(store, 'objects')
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path))
  const found = paths.find((path) => readable(path)?.length === size)
  if (found === undefined) throw new Error(`no object of ${size} bytes`)
  return found
}

function readable(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EISDIR') return undefined
    throw error
  }
}

function overwrite(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  writeFileSync(path, bytes)
  utimesSync(path, 0, 0)
}

describe('of a stored image', () => {
  test('that is whole, nothing is said', async () => {
    assert.deepEqual(await verdict(() => {}), { files: 3, notices: [] })
  })

  const metadata = 'has another owner, mode, time or attribute'
  for (const [what, damage, said] of [
    [
      'a changed byte of a large file',
      (store) => overwrite(objectOf(store, 2_000_000), 1_500_000),
      '/usr/big has another content',
    ],
    ['a changed byte of a small file', (store) => overwrite(objectOf(store, 5), 1), '/usr/small has another content'],
    ['a file that was cut', (store) => truncateSync(objectOf(store, 5), 2), '/usr/small has another size'],
    ['another mode', (store) => chmodSync(objectOf(store, 5), 0o4755), `/usr/small ${metadata}`],
    ['another owner', (store) => chownSync(objectOf(store, 5), 7, 7), `/usr/small ${metadata}`],
    ['another time', (store) => utimesSync(objectOf(store, 5), 5, 5), `/usr/small ${metadata}`],
    ['another attribute', (store) => mark(objectOf(store, 5), 'user.a'), `/usr/small ${metadata}`],
    ['a changed attribute', (store) => mark(objectOf(store, 3), 'user.a'), `/usr/cap ${metadata}`],
    ['a lost file', (store) => rmSync(objectOf(store, 5)), '/usr/small is missing'],
    ['a lost tree', (store) => empty(join(store, 'layers')), /^the layer sha256:[0-9a-f]{64} is missing or damaged$/],
    [
      'a lost manifest',
      (store) => empty(join(store, 'blobs')),
      /^the manifest sha256:[0-9a-f]{64} is missing or damaged$/,
    ],
  ] as [string, (store: string) => void, string | RegExp][]) {
    test(`${what} is found`, async () => {
      const { files, notices } = await verdict(damage)
      assert.equal(files, undefined)
      if (typeof said === 'string') assert.deepEqual(notices, [said])
      else assert.match(notices[0] ?? '', said)
    })
  }
})

test('the hint leads to the repair', async () => {
  using copy = scratch()
  execFileSync('cp', ['-a', join(whole, 'store'), copy.path])
  const context = contextIn(copy.path, countedSource(image))
  rmSync(objectOf(context.paths.store, 5))
  await assert.rejects(verifyImage(name, { validate: true }, context), {
    hint: `Mend it: forerun verify --repair ${name}`,
  })
})

test('a newer image in the registry is told with the layers that it does not share', async () => {
  const context = contextIn(whole, countedSource(other))
  const { registry, files } = await verifyImage(name, { validate: false }, context)
  assert.equal(files, undefined)
  assert.deepEqual(registry, {
    state: 'newer',
    id: other.imageIds[0],
    manifest: other.digest,
    version: { name: 'example.org/app', version: '2' },
    layers: [],
  })
  assert.deepEqual((await verifyImage(name, { validate: false }, contextIn(whole, countedSource(image)))).registry, {
    state: 'current',
  })
})

function mark(path: string, attribute: string): void {
  setExtendedAttribute(Buffer.from(path), Buffer.from(attribute), Buffer.from('other'))
}

function empty(folder: string): void {
  for (const file of readdirSync(folder)) truncateSync(join(folder, file), 0)
}
