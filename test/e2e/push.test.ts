import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { PushResult } from '../../src/operations/transfer/push.ts'
import { busyboxImage } from '../lab/busybox.ts'
import { type ContainerTools, containerTools } from '../lab/container-tools.ts'
import { type LabRegistry, startRegistry } from '../lab/registry.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'
import { assertSame, digestAt, imageOf } from './pushed-image.ts'

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
  // Of what `before` came to.
  await tools?.[Symbol.asyncDispose]()
  await guarded?.[Symbol.asyncDispose]()
  await lab?.[Symbol.asyncDispose]()
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
  await assertSame(tools, copy, image)

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
  await assertSame(tools, copy, image)
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
  await assertSame(tools, copy, image)
})

test("without a destination an image goes to its own name; Docker's schema 2 stays what it is", async () => {
  const image = await imageOf('own name', { format: 'docker' })
  const name = await lab.push('docker/app:1', image)
  await lab.must('pull', name)
  const own = `${lab.registry.address}/docker/renamed:3`
  await lab.must('images', 'tag', name, own)
  await lab.must('push', own)
  await assertSame(tools, own, image)
})

test('of an index the manifest that was pulled is pushed', async () => {
  const image = await imageOf('index', { platforms: ['linux/amd64', 'linux/arm64'] })
  const name = await lab.push('index/app:1', image)
  await lab.must('pull', '--platform', 'linux/arm64', name)
  const copy = `${guarded.address}/index/app:1`
  const { json } = await lab.must<PushResult>('push', name, copy, ...creds, '--json')
  assert.equal(json.manifest, image.manifests[1]?.digest)
  assert.equal(await digestAt(tools, copy), json.manifest)
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
    assert.equal(await digestAt(tools, copy), image.digest)
    await tools.run(['podman', 'pull', '-q', '--tls-verify=false', copy])
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
  await assertSame(tools, copy, image)
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

function outcomes({ layers }: PushResult): string[] {
  return layers.map(({ outcome }) => outcome)
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
