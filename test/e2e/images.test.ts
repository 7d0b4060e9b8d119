import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { DeleteImagesResult, ImageRow } from '../../src/operations/images/images.ts'
import type { ImageInspection } from '../../src/operations/images/inspect-image.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { LabImage } from '../lab/image.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

let lab: InstalledHost
let service: LabImage
let reference: string

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

before(async () => {
  lab = await installedHost()
  service = await busyboxImage({
    labels: { 'Atomic.Type': 'system', 'atomic.summary': 'a service' },
    exports: {
      ...serviceExports(loop, { env: ['A=$GIVEN', 'B=$WANTED', 'C=$UUID'] }),
      'manifest.json': { version: '1.0', defaultValues: { GIVEN: 'here' } },
    },
    layers: [{ 'usr/big': 'x'.repeat(100_000) }],
  })
  reference = await lab.push('team/service:1', service)
})

/** Each test begins with an empty store. */
afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  for (const { id } of await images()) await lab.forerun('images', 'delete', '--force', id)
  assert.deepEqual(await images(), [])
  assert.equal(await lab.shell('find /var/lib/forerun/store -type f ! -name images.json'), '')
})

after(() => lab[Symbol.asyncDispose]())

async function images(...words: string[]): Promise<ImageRow[]> {
  return (await lab.must<ImageRow[]>('images', 'list', '--json', ...words)).json
}

test('pull prints the id, and a second pull fetches no layer', async () => {
  const first = await lab.must('pull', reference)
  assert.equal(first.stdout, `${service.imageIds[0]}\n`)
  const second = await lab.must('pull', reference)
  assert.equal(second.stdout, first.stdout)
  assert.doesNotMatch(second.stderr, /fetching/)
  assert.equal(second.stderr.match(/in the store already/g)?.length, 3)
})

test('layers that two images share are fetched and kept once', async () => {
  await lab.must('pull', reference)
  const other = await lab.push('other', busyboxImage({ entrypoint: loop }))
  const { stderr } = await lab.must('pull', other)
  assert.match(stderr, /in the store already/)
  assert.doesNotMatch(stderr, /fetching/)
  const copies = await lab.shell('find /var/lib/forerun/store/objects -type f -size +500k | wc -l')
  assert.equal(copies, '1')
})

test('a tag that has moved leaves the older image without a name, for prune to remove', async () => {
  const moving = await lab.push('moving', service)
  await lab.must('pull', moving)
  const young = await busyboxImage({ entrypoint: loop })
  await lab.push('moving', young)
  await lab.must('pull', moving)
  const rows = await images()
  assert.deepEqual(rows.map(({ repository, dangling }) => [repository, dangling]).sort(), [
    [moving, false],
    ['<none>', true],
  ])
  assert.match((await lab.must('images', 'list')).stdout, /^\*\s+<none>\s+<none>/m)
  const { stdout } = await lab.must('images', 'prune')
  assert.match(stdout, new RegExp(`^Deleted: ${service.imageIds[0]}\nFreed: \\d`))
  assert.deepEqual(
    (await images()).map(({ id }) => id),
    [...young.imageIds],
  )
  assert.match((await lab.must('images', 'prune')).stdout, /^Freed: 0B\n$/)
})

test('the list marks images in use, tells the type, and filters', async () => {
  await lab.must('install', '--set', 'WANTED=x', reference)
  await lab.must('pull', await lab.push('other', busyboxImage({ entrypoint: loop })))
  const rows = await images()
  assert.deepEqual(
    rows.map(({ repository, tag, type, inUse }) => [repository.split('/').at(-1), tag, type, inUse]),
    [
      ['other', 'latest', '', false],
      ['service', '1', 'system', true],
    ],
  )
  const { stdout } = await lab.must('images', 'list')
  const [heading, ...lines] = stdout.trimEnd().split('\n')
  assert.match(heading ?? '', /REPOSITORY\s+TAG\s+IMAGE ID\s+CREATED\s+VIRTUAL SIZE\s+TYPE/)
  assert.match(lines[1] ?? '', new RegExp(`^>\\s+\\S+/team/service\\s+1\\s+${service.imageIds[0]?.slice(7, 19)}\\s`))
  assert.equal((await lab.must('images', 'list', '-n')).stdout.trimEnd().split('\n').length, 2)
  assert.equal(
    (await lab.must('images', 'list', '-q', '-f', 'type=system')).stdout,
    `${service.imageIds[0]?.slice(7, 19)}\n`,
  )
  assert.deepEqual(await images('-f', 'repository=nothing'), [])
  assert.equal((await images('--all')).filter(({ type }) => type === 'layer').length, 3)
  assert.equal((await lab.forerun('images', 'list', '-f', 'colour=red')).status, 2)
})

test('info tells the labels and the variables with and without a default', async () => {
  await lab.must('pull', reference)
  const { stdout } = await lab.must('images', 'info', reference)
  assert.match(stdout, /^atomic\.summary: a service$/m)
  assert.match(stdout, /^Template variables with default value, but overridable with --set:\nGIVEN: here$/m)
  assert.match(
    stdout,
    /^Template variables that has no default value, and must be set with --set:\nWANTED: \{DEF_VALUE\}$/m,
  )
  const { json } = await lab.must<ImageInspection>('images', 'info', '--json', service.imageIds[0]?.slice(7, 15) ?? '')
  assert.deepEqual([json.variables, json.required, json.names], [{ GIVEN: 'here' }, ['WANTED'], [reference]])
})

test('a tag is a further name: the image goes with the last one', async () => {
  await lab.must('pull', reference)
  await lab.must('images', 'tag', reference, 'local/name:stable')
  const names = (await images()).map(({ repository, tag }) => `${repository}:${tag}`).sort()
  assert.deepEqual(names, [reference, 'docker.io/local/name:stable'])
  await lab.registry.stop()
  await lab.must('install', '--set', 'WANTED=x', '--name', 'named', 'local/name:stable')
  await lab.must('uninstall', 'named')
  await lab.registry.start()
  const first = await lab.must<DeleteImagesResult>('images', 'delete', '--json', reference)
  assert.deepEqual(first.json, { untagged: [reference], deleted: [] })
  const { stdout } = await lab.must('images', 'delete', 'local/name:stable')
  assert.equal(stdout, `Untagged: docker.io/local/name:stable\nDeleted: ${service.imageIds[0]}\n`)
})

test('an image in use loses its name only by force, and stays until its container is gone', async () => {
  await lab.must('install', '--now', '--set', 'WANTED=x', reference)
  const refused = await lab.forerun<{ error: { code: string } }>('images', 'delete', '--json', reference)
  assert.deepEqual([refused.status, refused.json.error.code], [1, 'image-in-use'])
  assert.match(refused.stderr, /is used by service-1$/m)
  assert.equal((await images()).length, 1)
  await lab.must('images', 'delete', '--force', reference)
  await lab.must('images', 'prune')
  assert.match(await lab.shell('find /var/lib/forerun/store/objects -type f'), /objects/)
  await lab.must('verify', 'service-1')
  assert.equal(await lab.inside('service-1', 'sh', '-c', 'wc -c </usr/big'), '100000\n')
  await lab.shell('systemctl restart service-1')
  assert.equal(await lab.inside('service-1', 'sh', '-c', 'wc -c </usr/big'), '100000\n')
  await lab.must('uninstall', 'service-1')
  await lab.must('images', 'prune')
  assert.equal(await lab.shell('find /var/lib/forerun/store/objects -type f'), '')
})

test('one name of several that is not there keeps all the others', async () => {
  await lab.must('pull', reference)
  const { status, stderr } = await lab.forerun('images', 'delete', reference, 'no/such:image')
  assert.equal(status, 1)
  assert.match(stderr, /there is no image 'no\/such:image' in the store/)
  assert.equal((await images()).length, 1)
})

test('a store that has lost an object is mended by the next installation', async () => {
  await lab.must('pull', reference)
  await lab.shell('find /var/lib/forerun/store/objects -type f -size +500k -delete')
  const { stderr } = await lab.must('install', '--now', '--set', 'WANTED=x', reference)
  assert.equal(stderr.match(/fetching/g)?.length, 1)
  assert.equal(await lab.inside('service-1', 'hostname'), 'service-1\n')
})
