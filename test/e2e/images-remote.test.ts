import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import type { ImageVersion } from '../../src/operations/images/image-version.ts'
import type { DeleteImagesResult, ImageRow } from '../../src/operations/images/images.ts'
import type { ImageInspection } from '../../src/operations/images/inspect-image.ts'
import type { UpdatedImage } from '../../src/operations/images/update-images.ts'
import type { VerifiedImage } from '../../src/operations/images/verify-image.ts'
import { busyboxImage, exportFiles, serviceExports } from '../lab/busybox.ts'
import { assembleImage, type LabImage } from '../lab/image.ts'
import { type Layer, packLayer } from '../lab/layer.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

let lab: InstalledHost
let layers: Layer[]
let image: LabImage
let reference: string
let sharing: string

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']
const exports = {
  ...serviceExports(loop, { env: ['A=$GIVEN', 'B=$WANTED'] }),
  'manifest.json': { version: '1.0', defaultValues: { GIVEN: 'here' } },
  'tmpfiles.template': 'd $RUN_DIRECTORY/$NAME 0755 root root -',
}

before(async () => {
  lab = await installedHost()
  layers = [
    await packLayer({ 'usr/big': Buffer.alloc(3_000_000, 'big') }, { compression: 'none' }),
    await packLayer({ etc: { type: 'directory' }, 'etc/x': 'x' }),
    await packLayer(exportFiles(exports)),
  ]
  const config = { Labels: { 'atomic.type': 'system', name: 'service', version: '1.2', release: '3' }, Cmd: ['x'] }
  image = assembleImage(layers, { config, created: '2026-01-02T03:04:05Z' })
  reference = await lab.push('team/service:1', image)
  sharing = await lab.push('sharing', assembleImage(layers.slice(0, 1)))
})

afterEach(async () => {
  for (const id of new Set((await images()).map((row) => row.id))) await lab.must('images', 'delete', '--force', id)
})

after(() => lab[Symbol.asyncDispose]())

async function images(): Promise<ImageRow[]> {
  return (await lab.must<ImageRow[]>('images', 'list', '--json')).json
}

/** The digests of blobs that the registry has been asked for since then. */
function blobsAskedFor(logBefore: string): string[] {
  const lines = lab.registry.log().slice(logBefore.length).split('\n')
  return lines.flatMap((line) => /"GET \S*\/blobs\/(sha256:[0-9a-f]{64})/.exec(line)?.[1] ?? [])
}

function blobOf(layer: Layer | undefined): string {
  return [...image.blobs].find(([, bytes]) => bytes === layer?.bytes)?.[0] ?? ''
}

describe('looking before pulling', () => {
  test('only the layer with /exports is fetched, and nothing is written', async () => {
    const before = lab.files()
    const log = lab.registry.log()
    const { json } = await lab.must<ImageInspection>('images', 'inspect', '--json', '--remote', reference)
    const top = layers[2]
    assert.deepEqual(json.fetched, { layers: 1, bytes: top?.bytes.length })
    assert.deepEqual(blobsAskedFor(log).sort(), [json.id, blobOf(top)].sort())
    assert.deepEqual([json.variables, json.required], [{ GIVEN: 'here' }, ['WANTED']])
    assert.deepEqual(
      json.layers.map(({ look }) => look),
      ['unneeded', 'unneeded', 'fetched'],
    )
    assert.deepEqual([json.created, json.digest], ['2026-01-02T03:04:05Z', image.digest])
    assert.deepEqual(json.configuration.cmd, ['x'])
    assert.deepEqual(changesSince(before, lab), [])
    assert.equal(await lab.shell('ls /var/lib/forerun 2>/dev/null || true'), '')
  })

  test('info prints what the old tool printed', async () => {
    const { stdout } = await lab.must('images', 'info', '--remote', reference)
    assert.match(stdout, new RegExp(`^Image Name: ${reference}\nImage Id: ${image.imageIds[0]}\n`))
    assert.match(stdout, /^version: 1\.2$/m)
    assert.match(stdout, /^Template variables with default value, but overridable with --set:\nGIVEN: here$/m)
    assert.match(
      stdout,
      /^Template variables that has no default value, and must be set with --set:\nWANTED: \{DEF_VALUE\}$/m,
    )
    assert.match(stdout, /^Fetched for this: 1 of 3 layers, [\d.]+kB$/m)
  })

  test('once it is stored, nothing is fetched, and it says the same', async () => {
    const { json: before } = await lab.must<ImageInspection>('images', 'inspect', '--json', '--remote', reference)
    await lab.must('pull', reference)
    const { json: remote } = await lab.must<ImageInspection>('images', 'inspect', '--json', '--remote', reference)
    const { json: stored } = await lab.must<ImageInspection>('images', 'inspect', '--json', reference)
    assert.deepEqual(remote.fetched, { layers: 0, bytes: 0 })
    assert.deepEqual([stored.variables, stored.required], [before.variables, before.required])
    assert.equal(stored.manifest, before.manifest)
  })

  test('an image with several platforms tells them all', async () => {
    const many = await lab.push('many', busyboxImage({ platforms: ['linux/amd64', 'linux/arm64/v8', 'linux/s390x'] }))
    const { json } = await lab.must<ImageInspection>(
      'images',
      'inspect',
      '--json',
      '--remote',
      '--platform',
      'linux/s390x',
      many,
    )
    assert.deepEqual(
      json.platforms.map(({ platform }) => platform),
      ['linux/amd64', 'linux/arm64/v8', 'linux/s390x'],
    )
    assert.equal(json.platform, 'linux/s390x')
    assert.equal(json.manifest, json.platforms[2]?.digest)
  })

  test('an image that is not there is an error', async () => {
    const { status, stderr } = await lab.forerun('images', 'info', '--remote', `${lab.registry.address}/no/such`)
    assert.equal(status, 1)
    assert.match(stderr, /has no tag latest, or does not exist/)
  })
})

test('the version is that of the stored image, else of the registry', async () => {
  const ask = async (...words: string[]) => (await lab.must<ImageVersion>('images', 'version', '--json', ...words)).json
  assert.equal((await ask(reference)).from, 'registry')
  assert.equal((await lab.must('images', 'version', reference)).stdout, 'service-1.2-3\n')
  const moving = await lab.push('version', image)
  await lab.must('pull', moving)
  await lab.push('version', busyboxImage({ labels: { 'atomic.version': '2' } }))
  assert.deepEqual([(await ask(moving)).version, (await ask('--remote', moving)).version], ['1.2', '2'])
  assert.equal((await ask('version')).from, 'store')
})

describe('verify', () => {
  const verify = (...words: string[]) => lab.must<VerifiedImage>('images', 'verify', '--json', ...words)

  test('says that an image is whole and up to date, or that there is a newer one', async () => {
    const moving = await lab.push('verify', image)
    await lab.must('pull', moving)
    const { json } = await verify(moving)
    assert.deepEqual([json.files, json.registry], [6, { state: 'current' }])
    const extra = await packLayer({ new: 'new' })
    const newer = assembleImage([...layers, extra], { config: { Labels: { name: 'service', version: '2' } } })
    await lab.push('verify', newer)
    const { stdout } = await lab.must('images', 'verify', '--no-validate', moving)
    assert.match(stdout, /^Newer available \([0-9a-f]{12}\): service-2\nLayers to fetch: 1, \d+B\n {2}sha256:/m)
    assert.doesNotMatch(stdout, /Undamaged/)
  })

  test('says so when the registry cannot be asked, and all the same what the store has', async () => {
    await lab.must('pull', reference)
    await lab.registry.stop()
    try {
      const { json } = await verify(reference)
      assert.equal(json.files, 6)
      assert.equal(json.registry.state, 'unknown')
    } finally {
      await lab.registry.start()
    }
    await lab.must('images', 'tag', reference, 'local/other:1')
    assert.deepEqual((await verify('local/other:1')).json.registry, {
      state: 'unknown',
      reason: 'it was not pulled under this name',
    })
  })

  const big = 'find /var/lib/forerun/store/objects -type f -size +1000k'
  for (const [damage, script, problem] of [
    ['changed content', `printf X | dd of=$(${big}) bs=1 seek=99 conv=notrunc status=none`, 'has another content'],
    ['a lost file', `${big} -delete`, 'is missing'],
  ] as const) {
    test(`finds ${damage}, and its hint mends it, though another image has the same layer`, async () => {
      await lab.must('pull', reference)
      await lab.must('pull', sharing)
      await lab.shell(script)
      const { status, stderr } = await lab.forerun('images', 'verify', reference)
      assert.equal(status, 1)
      assert.match(stderr, new RegExp(`^forerun: '${reference}' is damaged: /usr/big ${problem}$`, 'm'))
      const [, commands = ''] = /^hint: [^:]+: (forerun .+)$/m.exec(stderr) ?? []
      await lab.shell(`set -e; ${commands}`)
      await verify(reference)
      await verify('sharing')
    })
  }
})

describe('update', () => {
  test('pulls what is newer, and goes on after a failure', async () => {
    const moving = await lab.push('update:1', image)
    const gone = await lab.push('gone:1', busyboxImage({ labels: { a: 'gone' } }))
    const same = await lab.push('same:1', busyboxImage({ labels: { a: 'same' } }))
    const pinned = `${lab.registry.address}/team/service@${image.digest}`
    for (const name of [moving, gone, same, pinned]) await lab.must('pull', name)
    const young = await busyboxImage({ labels: { a: 'young' } })
    await lab.push('update:1', young)
    await lab.must('images', 'delete', '--remote', gone)
    const { status, json } = await lab.forerun<UpdatedImage[]>('images', 'update', '--all', '--json')
    assert.equal(status, 1)
    const outcomes = Object.fromEntries(json.map((each) => [each.name, each.outcome]))
    assert.deepEqual(outcomes, { [moving]: 'updated', [gone]: 'failed', [same]: 'current', [pinned]: 'left' })
    const one = await lab.must('images', 'update', 'same')
    assert.match(one.stdout, new RegExp(`^${same}: up to date`))
    assert.equal((await lab.forerun('images', 'update')).status, 2)
  })
})

test('delete --remote deletes from the registry alone', async () => {
  const going = await lab.push('team/going:1', image)
  await lab.push('team/going:2', image)
  await lab.must('pull', going)
  const { stdout } = await lab.must('images', 'delete', '--remote', going)
  assert.equal(stdout, `Deleted: ${going} (${image.digest})\n`)
  const again = await lab.forerun<{ error: { code: string } }>('images', 'delete', '--json', '--remote', going)
  assert.deepEqual([again.status, again.json.error.code], [1, 'image-not-found'])
  assert.equal((await images()).length, 1)
  assert.equal((await lab.forerun('images', 'delete', '--remote', 'going:1')).status, 2)
  const { json } = await lab.must<DeleteImagesResult>('images', 'delete', '--json', 'going:1')
  assert.deepEqual(json.untagged, [going])
})

describe('help', () => {
  test('is the man page of the image, and steers no terminal', async () => {
    const page = '.TH SERVICE 1\n.SH NAME\nservice \\- serves\n'
    const named = await lab.push(
      'help',
      busyboxImage({ labels: { HELP: '/usr/page' }, layers: [{ 'usr/page': 'a \x1b[31mpage' }] }),
    )
    const plain = await lab.push('page', busyboxImage({ layers: [{ 'image_help.1': page }] }))
    const command = await lab.push('command', busyboxImage({ labels: { help: 'docker run --rm IMAGE help' } }))
    for (const name of [named, plain, command, reference]) await lab.must('pull', name)
    assert.equal((await lab.must('images', 'help', named)).stdout, 'a page\n')
    assert.match((await lab.must('images', 'help', 'page')).stdout, /service \S*- serves/)
    assert.match((await lab.must('images', 'help', 'command')).stdout, /not run here: docker run --rm IMAGE help/)
    assert.match(
      (await lab.forerun('images', 'help', reference)).stderr,
      /carries no help \(\/image_help\.1, \/help\.1\)/,
    )
  })
})
