import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { StorageReport } from '../../src/operations/integrity/storage.ts'
import type { VerifyResult } from '../../src/operations/integrity/verify.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** A service that runs while what it is made of is damaged and repaired. */
let lab: InstalledHost
let image: string

const store = '/var/lib/forerun/store'
const root = '/var/lib/forerun/containers/app.0/rootfs'
const loop = ['sh', '-c', 'trap "exit 0" TERM; exec 9</srv/open; while :; do sleep 0.1; done']

before(async () => {
  lab = await installedHost()
  const layers = [{ 'srv/open': 'open'.repeat(50_000), 'srv/other': 'other' }, { 'srv/upper': 'upper' }]
  image = await lab.push('app', busyboxImage({ layers, exports: serviceExports(loop) }))
  await lab.must('install', '--now', image)
})
after(() => lab[Symbol.asyncDispose]())

afterEach(async () => {
  assert.equal(await lab.property('app', 'ActiveState'), 'active')
  assert.equal(await lab.property('app', 'NRestarts'), '0')
  assert.equal((await verified(0)).remaining, 0)
})

async function verified(status: number, ...words: string[]): Promise<VerifyResult> {
  const result = await lab.forerun<VerifyResult>('verify', '--json', ...words)
  assert.equal(result.status, status, result.stdout + result.stderr)
  return result.json
}

test('a service that has started is as it was installed', async () => {
  for (const words of [[], ['--all'], ['app'], [image]]) {
    const { damaged, files } = await verified(0, ...words)
    assert.deepEqual(damaged, [])
    assert.ok(files > 3)
  }
  assert.match((await lab.must('verify')).stdout, /^Read \d+ files \(.*\) of 1 images and 1 containers\nUndamaged\n$/)
  assert.equal((await lab.forerun('verify', 'nothing')).status, 1)
  assert.equal((await lab.forerun('verify', '--all', 'app')).status, 2)
})

test('storage tells to the byte what is on the disk', async () => {
  await lab.shell(`mkdir -p ${store}/partial; head -c 50000 /dev/zero >${store}/partial/sha256-0`)
  const { json } = await lab.must<StorageReport>('storage', '--json')
  const places = `${store}/layers ${store}/blobs ${store}/partial ${store}/objects ${root}/..`
  const files = await lab.shell(
    `find ${places} ! -type d -printf '%D:%i %b\\n' | sort -u | awk '{s+=$2} END {print s*512}'`,
  )
  const folders = await lab.shell(`find ${root}/.. -type d -printf '%b\\n' | awk '{s+=$1} END {print s*512}'`)
  assert.equal(json.total, Number(files) + Number(folders))
  assert.deepEqual([json.images.length, json.containers.length], [1, 1])
  const [of] = json.images
  assert.deepEqual([of?.containers, of?.reclaimable], [['app'], 0])
  assert.ok((of?.shared ?? 0) > 200_000, 'the files of the checkout')
  assert.equal(json.leftover, Number(await lab.shell(`stat -c '%b' ${store}/partial/sha256-0`)) * 512)
  assert.equal(json.reclaimable, json.leftover)
  assert.match((await lab.must('storage')).stdout, /^\s+NAME\s+USED\s+SHARED\s+RECLAIMABLE\s+CONTAINERS\nimage/)
  await lab.must('images', 'prune')
})

test('a shared file that was damaged is fetched again, its layer alone, while the service has it open', async () => {
  const main = await lab.property('app', 'MainPID')
  await lab.shell(`printf X | dd of=${root}/srv/open bs=1 seek=1000 conv=notrunc`)
  const found = await verified(1)
  assert.deepEqual(
    found.damaged.map(({ kind, part, repaired }) => [kind, part, repaired]),
    [
      ['image', '/srv/open', false],
      ['container', '/srv/open', false],
    ],
  )
  const before = blobRequests()
  const { remaining, actions } = await verified(0, '--repair')
  assert.equal(remaining, 0, actions.join('\n'))
  assert.equal(blobRequests() - before, 2, 'the configuration and one layer')
  assert.equal(await lab.property('app', 'MainPID'), main)
  assert.equal(await lab.inside('app', 'sh', '-c', 'head -c 1004 /srv/open | tail -c 4'), 'open')
  // The old inode is still what the service has open.
  assert.equal(await lab.inside('app', 'sh', '-c', 'head -c 1004 /proc/1/fd/9 | tail -c 4'), 'Xpen')
})

function blobRequests(): number {
  return lab.registry.log().match(/"GET \/v2\/app\/blobs\//g)?.length ?? 0
}

test('without a registry, the host itself mends what it can, and says what remains', async () => {
  await lab.shell(`chmod 600 ${root}/srv/other; rm -r ${root}/srv/upper ${store}/objects/0*; touch ${root}/srv/more`)
  await lab.registry.stop()
  const mended = await verified(0, '--repair')
  assert.equal(mended.remaining, 0)
  await lab.shell(`truncate -s 1 ${root}/srv/other`)
  const { status, stdout, stderr } = await lab.forerun('verify', '--repair', 'app')
  assert.equal(status, 1)
  assert.match(stdout, /\/srv\/other has another size\n/)
  assert.match(stderr, /cannot be fetched again: .*127\.0\.0\.1/)
  await lab.registry.start()
  assert.match((await lab.must('verify', '--repair', 'app')).stdout, /\/srv\/other has another size \(repaired\)\n/)
})

test('folders of the store that are gone come back', async () => {
  for (const folder of ['layers', 'blobs', 'objects', '']) {
    await lab.shell(`rm -r ${store}/${folder}`)
    await verified(1)
    assert.equal((await verified(0, '--repair')).remaining, 0)
  }
})

test('a store on a file system that cannot be written is verified', async () => {
  await lab.shell(`unshare -m sh -ec '
    mount --bind /var/lib/forerun /var/lib/forerun; mount -o remount,ro,bind /var/lib/forerun
    mount --bind /run/forerun /run/forerun; mount -o remount,ro,bind /run/forerun
    forerun verify; ! touch ${store}/x 2>/dev/null'`)
})
