import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { assembleImage, type LabImage, writeLayout } from '../lab/image.ts'
import { etcdImage, netconfImage } from '../lab/images.ts'
import { type Compression, layerOf } from '../lab/layer.ts'
import { memoryFolder } from '../lab/leftovers.ts'
import { ensurePackages } from '../lab/packages.ts'
import { execute } from '../lab/process.ts'
import { encodeArchive, type TarFile } from '../lab/tar-encoder.ts'
import { hostTree } from '../lab/tree.ts'
import { readTree, treeDifferences } from '../lab/tree-difference.ts'
import { unpackImage } from '../lab/unpack-image.ts'

/** Whole trees of real images. */

const memory = memoryFolder('images')
const folder = memory.path
const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')]

before(() => ensurePackages(['umoci', 'libcap2-bin']))
afterEach(() => rmSync(folder, { recursive: true, force: true }))
after(() => memory[Symbol.dispose]())

test('a system container made of Debian packages is unpacked as umoci does it', async () => {
  for (const image of [await etcdImage(), await netconfImage()]) {
    assert.ok((await unpackedAlike(image)) > 100)
    rmSync(folder, { recursive: true })
  }
})

test('a whole Debian system with a layer over it is unpacked as umoci does it, and getcap agrees', async () => {
  const image = assembleImage([await debianLayer(), layerOf(encodeArchive(changes))])
  assert.ok((await unpackedAlike(image)) > 5000)
  const capabilities = async (root: string) => (await execute(['getcap', '-r', '.'], { cwd: root })).stdout
  assert.equal(await capabilities(ours), './usr/bin/ping cap_net_raw=ep\n')
  assert.equal(await capabilities(theirs), await capabilities(ours))
})

/** Neither GNU tar nor bsdtar nor umoci makes these: what the archive says is all there is to compare with. */
for (const format of ['pax', 'gnu'] as const) {
  test(`paths beyond 4,096 bytes by ${format} come out as the archive says`, async () => {
    const files = deepFiles(format)
    await unpacked(assembleImage([layerOf(encodeArchive(files), { compression: 'zstd' })]))
    const made = readTree(ours)
    assert.ok([...made.keys()].some((path) => path.length > 9000))
    assert.equal(made.size, files.length + 1)
    for (const { path, kind, mode, mtime, target } of files) {
      const found = made.get(path.replace(/\/$/, ''))
      const time = BigInt(mtime.seconds) * 1_000_000_000n
      assert.deepEqual([found?.type, found?.mode, found?.mtime], [kind, mode.toString(8), time])
      if (target !== undefined) assert.equal(found?.content, target)
    }
  })
}

/** @returns the number of names. */
async function unpackedAlike(image: LabImage): Promise<number> {
  await unpacked(image)
  await execute(['umoci', 'raw', 'unpack', '--image', `${join(folder, 'layout')}:1`, theirs])
  const [made, wanted] = [readTree(ours), readTree(theirs)]
  assert.deepEqual(treeDifferences(made, wanted), [])
  return made.size
}

async function unpacked(image: LabImage): Promise<void> {
  mkdirSync(folder, { recursive: true })
  await writeLayout(image, join(folder, 'layout'), { tag: '1' })
  await unpackImage(`oci:${join(folder, 'layout')}:1`, ours, { folder })
}

async function debianLayer(compression: Compression = 'gzip') {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'debian.tar')
  const words = ['--format=posix', '--xattrs', '--xattrs-include=*', '--numeric-owner', '--sort=name']
  await execute(['tar', ...words, '-cf', file, '-C', await hostTree(), '.'])
  const archive = readFileSync(file)
  rmSync(file)
  return layerOf(archive, { compression })
}

const plain = { uid: 0, gid: 0, mtime: { seconds: 1_700_000_000, nanoseconds: 5 }, format: 'pax' } as const

/** Revision 2, effective, cap_net_raw permitted. */
const netRaw = Buffer.from('0100000200200000000000000000000000000000', 'hex')

/** As a build makes them: a program with a capability, folders emptied and removed, links through merged folders. */
const changes: readonly TarFile[] = [
  { ...plain, kind: 'file', path: 'usr/share/.wh.zoneinfo', mode: 0, xattrs: [] },
  { ...plain, kind: 'file', path: 'var/cache/.wh..wh..opq', mode: 0, xattrs: [] },
  {
    ...plain,
    kind: 'file',
    path: 'bin/ping',
    mode: 0o755,
    xattrs: [['security.capability', netRaw]],
    content: Buffer.from('ping'),
  },
  { ...plain, kind: 'hardlink', path: 'sbin/shell', mode: 0o755, xattrs: [], target: 'bin/bash' },
  { ...plain, kind: 'symlink', path: 'srv', mode: 0o777, xattrs: [], target: 'var/lib' },
  { ...plain, kind: 'file', path: 'srv/file', mode: 0o600, xattrs: [], content: Buffer.from('in var/lib') },
]

function deepFiles(format: TarFile['format']): TarFile[] {
  const some = { ...plain, mtime: { seconds: 1_700_000_000, nanoseconds: 0 }, format, xattrs: [], mode: 0o755 }
  const parts = Array.from({ length: 40 }, (_, index) => `${index}${'d'.repeat(240)}`)
  const folders = parts.map((_, index) => parts.slice(0, index + 1).join('/'))
  const last = folders.at(-1) ?? ''
  const deepest: TarFile = { ...some, kind: 'file', path: `${last}/file`, content: Buffer.from('deep') }
  return [
    ...folders.map((path): TarFile => ({ ...some, kind: 'directory', path: `${path}/` })),
    deepest,
    { ...some, kind: 'symlink', path: `${last}/link`, target: '../file', mode: 0o777 },
  ]
}
