import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openStaging } from '../../src/store/staging.ts'
import type { CheckoutMethod } from '../../src/tree/checkout-method.ts'
import { mergeLayers } from '../../src/tree/merge.ts'
import type { DirectoryNode } from '../../src/tree/node.ts'
import { checkOutInThreads } from '../../src/workers/check-out-in-threads.ts'
import { releaseAtEnd } from '../lab/at-end.ts'
import { collectingWriter } from '../lab/collecting-writer.ts'
import { type FileSystem, mountDisk } from '../lab/disk.ts'
import { labFolder, removeLabFolder } from '../lab/leftovers.ts'
import { running } from './scratch.ts'

/** Every method on every kind of file system, mounted from images in memory. */
const disks = ['ext4', 'xfs', 'btrfs', 'tmpfs'] as const satisfies readonly FileSystem[]
type Disk = (typeof disks)[number] | 'overlay'

let folder: string
let disarm: () => void

before(async () => {
  folder = await labFolder()
  disarm = releaseAtEnd(() => removeLabFolder(folder))
  for (const disk of disks) await mountDisk(folder, disk, disk)
  mkdirSync(join(folder, 'root/overlay'))
  for (const name of ['lower', 'upper', 'work']) mkdirSync(join(folder, name))
  const layers = ['lower', 'upper', 'work'].map((name) => `${name}dir=${join(folder, name)}`).join()
  execFileSync('mount', ['-t', 'overlay', '-o', layers, 'forerun-lab', join(folder, 'root/overlay')])
})
after(() => {
  removeLabFolder(folder)
  disarm()
})

let made = 0

/** Fills a store with one file and checks it out. @returns the file in the checkout. */
async function checkedOut(method: CheckoutMethod, from: Disk, to: Disk, shared = true): Promise<string> {
  made += 1
  const store = join(folder, 'root', from, `store${made}`)
  const target = join(folder, 'root', to, `checkout${made}`)
  const tree = filledStore(store)
  await checkOutInThreads(store, tree, { target, method, shared }, running())
  return join(target, 'file')
}

const content = Buffer.alloc(100_000, 'x')

function filledStore(store: string): DirectoryNode {
  using staging = openStaging(store)
  using writer = collectingWriter(store, staging.openFolder())
  const metadata = { mode: 0o4750, uid: 7, gid: 8, mtime: { seconds: 9, nanoseconds: 10 }, xattrs: new Map() }
  writer.entry({ kind: 'file', path: 'file', metadata, size: content.length })
  writer.content(content)
  writer.endFile()
  staging.commit()
  return mergeLayers([writer.entries])
}

type Way = 'reflink' | 'hardlink' | 'copy'

function assertCame(file: string, way: Way): void {
  const status = lstatSync(file)
  assert.deepEqual([status.mode & 0o7777, status.uid, status.gid, status.mtimeMs], [0o4750, 7, 8, 9000.00001])
  assert.ok(readFileSync(file).equals(content))
  assert.equal(status.nlink, way === 'hardlink' ? 2 : 1)
  // A file system in memory cannot tell of a file's blocks, and never shares them.
  if (way === 'reflink') assert.match(execFileSync('filefrag', ['-v', file], { encoding: 'utf8' }), /shared/)
}

/** `false`: refused, saying why. The last column: by `auto` where the container could write to the store's inodes. */
const expectations: [
  from: Disk,
  to: Disk,
  Record<'reflink' | 'hardlink' | 'auto' | 'overlay' | 'exposed', Way | false>,
][] = [
  ['ext4', 'ext4', { reflink: false, hardlink: 'hardlink', auto: 'hardlink', overlay: 'hardlink', exposed: 'copy' }],
  [
    'xfs',
    'xfs',
    { reflink: 'reflink', hardlink: 'hardlink', auto: 'hardlink', overlay: 'hardlink', exposed: 'reflink' },
  ],
  [
    'btrfs',
    'btrfs',
    { reflink: 'reflink', hardlink: 'hardlink', auto: 'hardlink', overlay: 'hardlink', exposed: 'reflink' },
  ],
  ['tmpfs', 'tmpfs', { reflink: false, hardlink: 'hardlink', auto: 'hardlink', overlay: 'hardlink', exposed: 'copy' }],
  [
    'overlay',
    'overlay',
    { reflink: false, hardlink: 'hardlink', auto: 'hardlink', overlay: 'hardlink', exposed: 'copy' },
  ],
  ['xfs', 'btrfs', { reflink: false, hardlink: false, auto: 'copy', overlay: 'copy', exposed: 'copy' }],
  ['overlay', 'ext4', { reflink: false, hardlink: false, auto: 'copy', overlay: 'copy', exposed: 'copy' }],
]

for (const [from, to, ways] of expectations) {
  describe(from === to ? `on ${from}` : `from ${from} to ${to}`, () => {
    for (const [named, way] of Object.entries({ copy: 'copy' as const, ...ways })) {
      const method = named === 'exposed' ? 'auto' : (named as CheckoutMethod)
      const shared = named !== 'exposed'
      if (way === false) {
        it(`refuses ${method}, saying why`, async () => {
          const message =
            from === to ? /their file system does not know how \(E\w+\)$/ : /different file systems \(EXDEV\)$/
          await assert.rejects(checkedOut(method, from, to), { code: 'checkout', message, hint: /auto/ })
        })
      } else {
        it(`makes a ${way} by ${method}${shared ? '' : ' of what may not be shared'}`, async () => {
          assertCame(await checkedOut(method, from, to, shared), way)
        })
      }
    }
  })
}

it('copies a file whose inode has no room for one more name', async () => {
  const file = await checkedOut('hardlink', 'ext4', 'ext4')
  // ext4 has room for 65,000.
  const script = 'for (my $n = 3; $n <= 65000; $n++) { link($ARGV[0], "$ARGV[0]-$n") or die "$n: $!" }'
  execFileSync('perl', ['-e', script, file])
  const store = join(folder, 'root/ext4', `store${made}`)
  const target = join(folder, 'root/ext4/full')
  await checkOutInThreads(store, filledStore(store), { target, method: 'hardlink', shared: true }, running())
  assertCame(join(target, 'file'), 'copy')
})
