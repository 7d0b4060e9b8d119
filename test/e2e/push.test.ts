import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { PushResult } from '../../src/operations/push.ts'
import { busyboxImage } from '../lab/busybox.ts'
import { type ContainerTools, containerTools } from '../lab/container-tools.ts'
import { type LabImage, writeLayout } from '../lab/image.ts'
import { type LabRegistry, startRegistry } from '../lab/registry.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/**
 * What forerun pushes is what it pulled, as other tools see it. Beside the registry that images are pulled from there is
 * one that wants a token.
 */
let lab: InstalledHost
let guarded: LabRegistry
let tools: ContainerTools
const creds = ['--creds', 'ann:secret']

before(async () => {
  lab = await installedHost()
  guarded = await startRegistry({ auth: 'token', users: { ann: 'secret', bob: 'other' }, anonymousPull: true })
  tools = await containerTools()
})

after(async () => {
  await tools[Symbol.asyncDispose]()
  await guarded[Symbol.asyncDispose]()
  await lab[Symbol.asyncDispose]()
})

test('an image goes to another registry as it was pulled, and the second push sends no blob', async () => {
  const image = await imageOf('other registry')
  const name = await lab.push('first/app:1', image)
  await lab.must('pull', name)
  const copy = `${guarded.address}/team/copy:2`
  const { json } = await lab.must<PushResult>('push', name, copy, ...creds, '--json', '--digestfile', '/tmp/digest')
  assert.deepEqual([json.manifest, json.destination], [image.digest, copy])
  assert.deepEqual(outcomes(json), ['sent', 'sent'])
  assert.equal(await lab.shell('cat /tmp/digest'), image.digest)
  await assertSame(copy, image)

  const before = uploads(guarded, 'team/copy').length
  const again = await lab.must('push', name, copy, ...creds)
  assert.equal(again.stdout, `${image.digest}\n`)
  assert.match(again.stderr, /Layer [0-9a-f]{12}: there already\n/)
  assert.equal(uploads(guarded, 'team/copy').length, before)
})

test('a repository of the same registry mounts the blobs', async () => {
  const image = await imageOf('mounted')
  const name = await lab.push('mount/from:1', image)
  await lab.must('pull', name)
  const copy = `${lab.registry.address}/mount/to:1`
  const { json } = await lab.must<PushResult>('push', name, copy, '--json')
  assert.deepEqual(outcomes(json), ['mounted', 'mounted'])
  const requests = uploads(lab.registry, 'mount/to')
  assert.equal(requests.filter((line) => line.startsWith('POST') && line.includes('from=mount%2Ffrom')).length, 2)
  // The configuration alone is sent.
  assert.equal(requests.filter((line) => line.startsWith('PUT')).length, 1)
  await assertSame(copy, image)
})

test('mounting works with tokens, too, and another image of the store is a neighbour', async () => {
  const image = await imageOf('token mount')
  const name = await lab.push('tokens/app:1', image)
  await lab.must('pull', name)
  await lab.must('push', name, `${guarded.address}/tokens/one:1`, ...creds)
  await lab.must('images', 'tag', name, `${guarded.address}/tokens/one:1`)
  const copy = `${guarded.address}/tokens/two:1`
  const { json } = await lab.must<PushResult>('push', name, copy, ...creds, '--json')
  assert.deepEqual(outcomes(json), ['mounted', 'mounted'])
  await assertSame(copy, image)
})

test("without a destination an image goes to its own name; Docker's schema 2 stays what it is", async () => {
  const image = await imageOf('own name', { format: 'docker' })
  const name = await lab.push('docker/app:1', image)
  await lab.must('pull', name)
  const own = `${lab.registry.address}/docker/renamed:3`
  await lab.must('images', 'tag', name, own)
  await lab.must('push', own)
  await assertSame(own, image)
})

test('of an index the manifest that was pulled is pushed', async () => {
  const image = await imageOf('index', { platforms: ['linux/amd64', 'linux/arm64'] })
  const name = await lab.push('index/app:1', image)
  await lab.must('pull', '--platform', 'linux/arm64', name)
  const copy = `${guarded.address}/index/app:1`
  const { json } = await lab.must<PushResult>('push', name, copy, ...creds, '--json')
  assert.equal(json.manifest, image.manifests[1]?.digest)
  assert.equal(await digestAt(copy), json.manifest)
})

test('layers of every compression arrive, one larger than any buffer among them', async () => {
  for (const compression of ['none', 'zstd'] as const) {
    const image = await imageOf(`big ${compression}`, { compression, size: 12_000_000 })
    const name = await lab.push(`big/${compression}:1`, image)
    await lab.must('pull', name)
    const copy = `${guarded.address}/big/${compression}:1`
    assert.deepEqual(outcomes((await lab.must<PushResult>('push', name, copy, ...creds, '--json')).json), [
      'sent',
      'sent',
    ])
    assert.equal(await digestAt(copy), image.digest)
    await tools.run(['podman', 'pull', '-q', '--tls-verify=false', copy])
  }
})

test('a layout is read by skopeo and umoci, and holds several images', async () => {
  const images = [await imageOf('layout one'), await imageOf('layout two')]
  for (const [index, image] of images.entries()) {
    const name = await lab.push(`layout/app:${index}`, image)
    await lab.must('pull', name)
    const { stdout } = await lab.must('push', name, `oci:/srv/layout:v${index}`)
    assert.equal(stdout, `${image.digest}\n`)
  }
  cpSync(join(lab.host.root, 'srv/layout'), join(tools.folder, 'layout'), { recursive: true })
  const { stdout: tags } = await tools.run(['umoci', 'list', '--layout', 'layout'])
  assert.equal(tags, 'v0\nv1\n')
  for (const [index, image] of images.entries()) {
    const { stdout } = await tools.run(['skopeo', 'inspect', '--format', '{{.Digest}}', `oci:layout:v${index}`])
    assert.equal(stdout.trim(), image.digest)
    await tools.run(['umoci', 'raw', 'unpack', '--image', `layout:v${index}`, `root${index}`])
    assert.ok(existsSync(join(tools.folder, `root${index}/bin/busybox`)))
  }
})

test('an archive is read by skopeo', async () => {
  const image = await imageOf('archive')
  const name = await lab.push('archive/app:1', image)
  await lab.must('pull', name)
  await lab.must('push', name, 'oci-archive:/srv/app.tar:v1')
  cpSync(join(lab.host.root, 'srv/app.tar'), join(tools.folder, 'app.tar'))
  const { stdout } = await tools.run(['skopeo', 'inspect', '--format', '{{.Digest}}', 'oci-archive:app.tar:v1'])
  assert.equal(stdout.trim(), image.digest)
  const { status, stderr } = await lab.forerun('push', name, 'oci-archive:/srv/app.tar:v1')
  assert.equal(status, 1)
  assert.match(stderr, /'\/srv\/app\.tar' is there already/)
})

test('an image from a layout or an archive is pushed from there', async () => {
  const image = await imageOf('from files')
  await writeLayout(image, join(lab.host.root, 'srv/from'), { tag: 'v1' })
  await writeLayout(image, join(tools.folder, 'from'), { tag: 'v1' })
  for (const [kind, archive] of [
    ['oci', 'layers.oci'],
    ['docker', 'saved.tar'],
  ] as const) {
    const to = kind === 'oci' ? `oci-archive:${archive}:v1` : `docker-archive:${archive}:saved/app:1`
    await tools.run(['skopeo', 'copy', '-q', 'oci:from:v1', to])
    cpSync(join(tools.folder, archive), join(lab.host.root, 'srv', archive))
  }
  const places = ['oci:/srv/from:v1', 'oci-archive:/srv/layers.oci:v1', 'docker-archive:/srv/saved.tar']
  for (const [index, place] of places.entries()) {
    const { json: pulled } = await lab.must<{ manifest: string; id: string }>('pull', '--json', place)
    const copy = `${guarded.address}/files/app:${index}`
    const { json } = await lab.must<PushResult>('push', pulled.manifest, copy, ...creds, '--json')
    assert.equal(await digestAt(copy), pulled.manifest)
    if (index < 2) assert.equal(json.manifest, image.digest)
    else await tools.run(['podman', 'pull', '-q', '--tls-verify=false', copy])
  }
})

test('a layer that was kept is pushed when its registry is gone, and kept by prune', async () => {
  const image = await imageOf('kept')
  await using passing = await startRegistry()
  const name = await passing.push(image, 'gone/app:1')
  await lab.shell("mkdir -p /etc/forerun && printf '[store]\\nkeep-blobs=yes\\n' > /etc/forerun/forerun.conf")
  try {
    await lab.must('pull', name)
  } finally {
    await lab.shell('rm /etc/forerun/forerun.conf')
  }
  await passing.stop()
  await lab.must('images', 'prune')
  const copy = `${guarded.address}/kept/app:1`
  await lab.must('push', name, copy, ...creds)
  await assertSame(copy, image)
})

test('a layer that nothing has any more is told of, and nothing is found at the target', async () => {
  const image = await imageOf('gone')
  await using passing = await startRegistry()
  const name = await passing.push(image, 'gone/app:1')
  await lab.must('pull', name)
  await passing.stop()
  const copy = `${guarded.address}/gone/app:1`
  const { status, stderr } = await lab.forerun('push', name, copy, ...creds)
  const own = [...image.blobs.keys()].filter((digest) => digest !== image.imageIds[0]).at(-1)
  assert.equal(status, 1)
  assert.match(
    stderr,
    new RegExp(`^forerun: layer ${own} .*the store has not kept it; ${name}: .* refuses the connection`, 'm'),
  )
  assert.match(stderr, /^hint: .*keep-blobs=yes/m)
  const { status: found } = await tools.run(['skopeo', 'inspect', '--tls-verify=false', `docker://${copy}`], {
    check: false,
  })
  assert.notEqual(found, 0)
})

test('a layer comes from another image that shares it, when its own registry is gone', async () => {
  const base = { base: randomBytes(50_000) }
  await using passing = await startRegistry()
  const one = await passing.push(await busyboxImage({ layers: [base] }), 'shared/one:1')
  const image = await busyboxImage({ layers: [base], labels: { of: 'two' } })
  const two = await lab.push('shared/two:1', image)
  await lab.must('pull', one)
  await lab.must('pull', two)
  await passing.stop()
  await lab.must('push', one, `${guarded.address}/shared/one:1`, ...creds)
})

test('who may not push is told so, in one line', async () => {
  const name = await lab.push('denied/app:1', await imageOf('denied'))
  await lab.must('pull', name)
  const copy = `${guarded.address}/denied/app:1`
  for (const [words, message] of [
    [[], /^forerun: .*(?:cannot be pushed to|refuses access to) .*denied\/app/m],
    [['--creds', 'ann:wrong'], /^forerun: .*(?:401|does not accept|refuse)/m],
  ] as const) {
    const { status, stderr } = await lab.forerun('push', name, copy, ...words)
    assert.equal(status, 1)
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /internal|wrong"/)
  }
  assert.equal(uploads(guarded, 'denied/app').filter((line) => line.startsWith('PUT')).length, 0)
})

test('a destination that forerun does not write to, and a folder that is no layout, are refused', async () => {
  const name = await lab.push('refused/app:1', await imageOf('refused'))
  await lab.must('pull', name)
  await lab.shell('mkdir -p /srv/photos && touch /srv/photos/a')
  for (const [destination, message] of [
    ['docker-archive:/srv/a.tar', /not to docker-archive:/],
    ['oci-archive:/srv/no/folder/a.tar', /no folder '\/srv\/no\/folder'/],
    ['dir:/srv/dir', /not to dir:/],
    ['oci:/srv/photos:1', /'\/srv\/photos' is no OCI layout: it holds other things/],
    ['oci:/srv/new:@1', /cannot be the name/],
  ] as const) {
    const { status, stderr } = await lab.forerun('push', name, destination)
    assert.notEqual(status, 0)
    assert.match(stderr, message)
  }
  assert.equal(await lab.shell('ls -A /srv/photos'), 'a')
  assert.equal(await lab.shell('ls -d /srv/new /srv/dir /srv/a.tar 2>/dev/null || true'), '')
})

async function imageOf(
  words: string,
  { size = 100_000, ...options }: Parameters<typeof busyboxImage>[0] & { size?: number } = {},
): Promise<LabImage> {
  return busyboxImage({ layers: [{ words, 'usr/data': randomBytes(size) }], ...options })
}

function outcomes({ layers }: PushResult): string[] {
  return layers.map(({ outcome }) => outcome)
}

/** skopeo sees the digest, podman takes the image, and a copy by skopeo has the bytes. */
async function assertSame(name: string, image: LabImage): Promise<void> {
  assert.equal(await digestAt(name), image.digest)
  await tools.run(['podman', 'pull', '-q', '--tls-verify=false', name])
  const { stdout } = await tools.run(['podman', 'image', 'inspect', '--format', '{{.Digest}} {{.Id}}', name])
  assert.equal(stdout.trim(), `${image.digest} ${image.imageIds[0]?.replace('sha256:', '')}`)
  const folder = `copy-${image.digest.slice(-12)}`
  await tools.run(['skopeo', 'copy', '-q', '--src-tls-verify=false', `docker://${name}`, `dir:${folder}`])
  for (const [digest, bytes] of image.blobs) {
    assert.ok(readFileSync(join(tools.folder, folder, digest.replace('sha256:', ''))).equals(bytes))
  }
}

async function digestAt(name: string): Promise<string> {
  const inspect = ['skopeo', 'inspect', '--tls-verify=false', '--raw', `docker://${name}`]
  const raw = (await tools.run(inspect)).stdout
  writeFileSync(join(tools.folder, 'raw'), raw)
  return (await tools.run(['skopeo', 'manifest-digest', 'raw'])).stdout.trim()
}

/** The requests of a registry's log that write to a repository: `METHOD URI`. */
function uploads(registry: LabRegistry, repository: string): string[] {
  return registry
    .log()
    .split('\n')
    .filter((line) => line.includes('msg="response completed"'))
    .map(
      (line) => `${/http\.request\.method=(\w+)/.exec(line)?.[1]} ${/http\.request\.uri="?([^" ]+)/.exec(line)?.[1]}`,
    )
    .filter((line) => /^(?:POST|PUT|PATCH) /.test(line) && line.includes(`/v2/${repository}/blobs/`))
}
