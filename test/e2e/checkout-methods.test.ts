import assert from 'node:assert/strict'
import { lstatSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** Every method of making a checkout, on every kind of file system that hosts have. */
let lab: InstalledHost
let readOnly: string
let writable: string

const loop = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done']

before(async () => {
  const disks = { '/d/ext4': 'ext4', '/d/xfs': 'xfs', '/d/btrfs': 'btrfs', '/d/tmpfs': 'tmpfs' } as const
  lab = await installedHost({ disks })
  const exports = serviceExports(loop)
  readOnly = await lab.push('plain', busyboxImage({ exports }))
  const { 'config.json.template': configuration, ...others } = exports
  const changed = { ...configuration, root: { path: 'rootfs', readonly: false } }
  writable = await lab.push('changing', busyboxImage({ exports: { 'config.json.template': changed, ...others } }))
})
after(() => lab[Symbol.asyncDispose]())

/** Has store and deployments at these places; each command reads the settings anew. */
function place(store: string, containers: string, method = 'auto'): void {
  const text = `[store]\npath = ${store}\n[containers]\npath = ${containers}\ncheckout = ${method}\n`
  lab.host.exec(['mkdir', '-p', '/etc/forerun'])
  writeFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), text)
}

type Outcome = 'reflink' | 'hardlink' | 'copy' | RegExp

/** What is expected of each method by the place of the store and of the deployments. */
const cannotClone = /^forerun: a checkout by reflink cannot be made: their file system does not know how \(/m
const apart = (method: string): RegExp =>
  new RegExp(`^forerun: a checkout by ${method} cannot be made: the store and the containers lie on different`, 'm')
const noOverlay =
  /^forerun: an overlay cannot be mounted in '\/d\/overlay\/containers': .*\nhint: .*ext4, XFS or btrfs/m

const places: Record<
  string,
  { store: string; containers: string; auto: Outcome; reflink: Outcome; hardlink: Outcome; writable: Outcome }
> = {
  ext4: {
    store: '/d/ext4',
    containers: '/d/ext4',
    auto: 'hardlink',
    reflink: cannotClone,
    hardlink: 'hardlink',
    writable: 'hardlink',
  },
  XFS: {
    store: '/d/xfs',
    containers: '/d/xfs',
    auto: 'reflink',
    reflink: 'reflink',
    hardlink: 'hardlink',
    writable: 'reflink',
  },
  btrfs: {
    store: '/d/btrfs',
    containers: '/d/btrfs',
    auto: 'reflink',
    reflink: 'reflink',
    hardlink: 'hardlink',
    writable: 'reflink',
  },
  tmpfs: {
    store: '/d/tmpfs',
    containers: '/d/tmpfs',
    auto: 'hardlink',
    reflink: cannotClone,
    hardlink: 'hardlink',
    writable: 'hardlink',
  },
  overlayfs: {
    store: '/d/overlay',
    containers: '/d/overlay',
    auto: 'hardlink',
    reflink: cannotClone,
    hardlink: 'hardlink',
    writable: noOverlay,
  },
  'XFS and ext4': {
    store: '/d/xfs',
    containers: '/d/ext4',
    auto: 'copy',
    reflink: apart('reflink'),
    hardlink: apart('hardlink'),
    writable: 'copy',
  },
  'overlayfs and btrfs': {
    store: '/d/overlay',
    containers: '/d/btrfs',
    auto: 'copy',
    reflink: apart('reflink'),
    hardlink: apart('hardlink'),
    writable: 'copy',
  },
}

for (const [name, { store, containers, ...expected }] of Object.entries(places)) {
  describe(`on ${name}`, () => {
    before(async () => {
      place(join(store, 'store'), join(containers, 'containers'))
      await lab.must('pull', readOnly)
      await lab.must('pull', writable)
    })
    after(() => lab.shell('rm -r /d/*/*'))

    for (const method of ['auto', 'reflink', 'hardlink', 'copy'] as const) {
      it(`a read-only root by ${method}`, async () => {
        await installs(
          { image: readOnly, method, containers, files: 'rootfs' },
          method === 'copy' ? 'copy' : expected[method],
        )
      })
    }
    it('a read-only root by overlay', async () => {
      await installs({ image: readOnly, method: 'overlay', containers, files: 'checkout' }, expected.auto)
    })
    it('a writable root', async () => {
      await installs({ image: writable, method: 'auto', containers, files: 'checkout' }, expected.writable)
    })
  })
}

/** Installs, starts, looks at where the files come from, and uninstalls; or is refused. Both leave the host as it was. */
async function installs(
  what: { image: string; method: string; containers: string; files: string },
  expected: Outcome,
): Promise<void> {
  const untouched = lab.files()
  const folder = join(lab.host.root, what.containers, 'containers')
  const words = ['install', '--now', '--name', 'tried', '--checkout', what.method, what.image]
  const { status, stderr } = await lab.forerun(...words)
  if (expected instanceof RegExp) {
    assert.match(stderr, expected)
    assert.equal(status, 1)
  } else {
    assert.equal(status, 0, stderr)
    assert.equal(lstatSync(join(folder, 'tried.0', what.files, 'bin/busybox')).nlink > 1, expected === 'hardlink')
    if (expected === 'reflink') await assertShared(`${what.containers}/containers/tried.0/${what.files}/bin/busybox`)
    assert.match(await lab.inside('tried', 'cat', '/etc/passwd'), /^root:/)
    await lab.must('uninstall', 'tried')
  }
  assert.deepEqual(readdirSync(folder), [])
  assert.deepEqual(changesSince(untouched, lab), [])
  assert.equal(await lab.shell('grep -c /containers/ /proc/mounts || true'), '0')
}

/** As the kernel tells of a file's blocks. */
async function assertShared(path: string): Promise<void> {
  assert.match(await lab.shell(`filefrag -v ${path}`), /shared/)
}
