import assert from 'node:assert/strict'
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { VerifyResult } from '../../src/operations/integrity/verify.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** Checkouts on every kind of file system that hosts have, with store and deployments on one or apart. */
let lab: InstalledHost
/** Of an image with a read-only root, and of one with a writable root. */
let plain: string
let changing: string

before(async () => {
  const disks = { '/d/ext4': 'ext4', '/d/xfs': 'xfs', '/d/btrfs': 'btrfs', '/d/my tmpfs 100%': 'tmpfs' } as const
  lab = await installedHost({ disks })
  const args = ['sh', '-c', 'echo x >/new; trap "exit 0" TERM; while :; do sleep 0.1; done']
  const layers = [{ 'srv/data': 'data'.repeat(50_000) }]
  plain = await lab.push('plain', busyboxImage({ layers, exports: serviceExports(args) }))
  changing = await lab.push('changing', busyboxImage({ layers, exports: serviceExports(args, { readonly: false }) }))
  for (const folder of ['etc/forerun', 'd/overlay']) mkdirSync(join(lab.host.root, folder))
})
after(() => lab[Symbol.asyncDispose]())

/** By kind: where store and deployments lie, and how files come out of the store; by `auto` but for reflinks. */
const places = {
  ext4: ['/d/ext4', '/d/ext4', 'hardlink'],
  XFS: ['/d/xfs', '/d/xfs', 'hardlink'],
  'XFS, when asked for': ['/d/xfs', '/d/xfs', 'reflink'],
  'btrfs, when asked for': ['/d/btrfs', '/d/btrfs', 'reflink'],
  'tmpfs, at a path with spaces and a percent sign': ['/d/my tmpfs 100%', '/d/my tmpfs 100%', 'hardlink'],
  'overlayfs, for the deployments a disk': ['/d/overlay', '/d/ext4', 'copy'],
} as const

for (const [name, [store, disk, method]] of Object.entries(places)) {
  it(`on ${name}, containers with a read-only and with a writable root run on files that came by ${method}`, async () => {
    settle(store, disk)
    const untouched = lab.files()
    const words = method === 'reflink' ? ['--checkout', method] : []
    await lab.must('install', '--now', ...words, plain)
    await lab.must('install', '--now', ...words, changing)
    const containers = join(disk, 'containers')
    await assertPlaced(join(containers, 'plain.0/rootfs'), method)
    await assertPlaced(join(containers, 'changing.0/checkout'), method)
    assert.match(await lab.inside('plain', 'grep', ' / ', '/proc/mounts'), / ro,/)
    assert.equal(await lab.inside('changing', 'cat', '/new'), 'x\n')
    assert.deepEqual(readdirSync(join(lab.host.root, containers, 'changing.0/upper')), ['new'])
    await assertRepaired([join(containers, 'plain.0/rootfs'), join(containers, 'changing.0/checkout')])
    await lab.must('containers', 'delete', '--all', '--force')
    await assertNothingLeft(containers)
    assert.deepEqual(
      changesSince(untouched, lab).filter(
        (line) => !/^\+ \/d\/[^ ]+(?: tmpfs 100%)?\/(?:store|containers)\b/.test(line),
      ),
      [],
    )
  })
}

describe('a method that cannot work is refused, saying why, and leaves the host as it was', () => {
  const refused: [title: string, store: string, disk: string, words: string[], message: RegExp][] = [
    ['no reflinks', '/d/ext4', '/d/ext4', ['--checkout', 'reflink'], /by reflink.*: their file system does not know/],
    [
      'two disks, by hard link',
      '/d/xfs',
      '/d/btrfs',
      ['--checkout', 'hardlink'],
      /by hardlink.*different file systems/,
    ],
    [
      'an overlay on an overlay',
      '/d/overlay',
      '/d/overlay',
      ['--name', 'changing'],
      /an overlay cannot be mounted in '\/d\/overlay\/containers': the kernel refuses it on this file system/,
    ],
  ]
  for (const [title, store, disk, words, message] of refused) {
    it(title, async () => {
      settle(store, disk)
      const image = words.includes('changing') ? changing : plain
      await lab.must('pull', image)
      mkdirSync(join(lab.host.root, disk, 'containers'), { recursive: true, mode: 0o700 })
      const untouched = lab.files()
      const { status, stderr } = await lab.forerun('install', '--now', ...words, image)
      assert.match(stderr, message)
      assert.match(stderr, /^hint: /m)
      assert.equal(status, 1)
      assert.deepEqual(changesSince(untouched, lab), [])
      await assertNothingLeft(join(disk, 'containers'))
    })
  }
})

afterEach(() => lab.shell('rm -rf /d/*/store'))

/** Each command reads the settings anew. */
function settle(store: string, disk: string): void {
  const text = `[store]\npath = ${join(store, 'store')}\n[containers]\npath = ${join(disk, 'containers')}\n`
  writeFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), text)
}

async function assertPlaced(folder: string, method: 'hardlink' | 'reflink' | 'copy'): Promise<void> {
  const file = join(folder, 'bin/busybox')
  assert.equal(lstatSync(join(lab.host.root, file)).nlink > 1, method === 'hardlink')
  // As the kernel tells of a file's blocks; a file system in memory has no such call.
  if (method !== 'hardlink') assert.equal(/shared/.test(await lab.shell(`filefrag -v '${file}'`)), method === 'reflink')
}

/** Beneath services that go on. */
async function assertRepaired(roots: readonly string[]): Promise<void> {
  for (const root of roots)
    await lab.shell(`printf X | dd of='${root}/srv/data' bs=1 seek=1000 conv=notrunc; rm '${root}/bin/cat'`)
  const { status, json } = await lab.forerun<VerifyResult>('verify', '--repair', '--json')
  const containers = json.damaged.filter(({ kind }) => kind === 'container')
  const found = containers.map(({ of, part, repaired }) => [of, part, repaired])
  const expected = ['changing', 'plain'].flatMap((of) =>
    ['/bin', '/bin/cat', '/srv/data'].map((part) => [of, part, true]),
  )
  assert.deepEqual([status, json.remaining, found.toSorted()], [0, 0, expected])
  for (const name of ['plain', 'changing']) {
    assert.equal(await lab.property(name, 'ActiveState'), 'active')
    assert.equal(await lab.property(name, 'NRestarts'), '0')
  }
}

async function assertNothingLeft(containers: string): Promise<void> {
  assert.deepEqual(readdirSync(join(lab.host.root, containers)), [])
  assert.equal(await lab.shell('grep -c containers /proc/self/mounts || true'), '0')
}
