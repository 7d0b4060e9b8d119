import assert from 'node:assert/strict'
import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { PushResult } from '../../src/operations/transfer/push.ts'
import { type ContainerTools, containerTools } from '../lab/container-tools.ts'
import { writeLayout } from '../lab/image.ts'
import { startRegistry } from '../lab/registry.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'
import { digestAt, imageOf } from './pushed-image.ts'

/** Pushing into layouts and archives, and out of them. */
let lab: InstalledHost
let tools: ContainerTools

before(async () => {
  lab = await installedHost()
  tools = await containerTools()
})

after(async () => {
  // Of what `before` came to.
  await tools?.[Symbol.asyncDispose]()
  await lab?.[Symbol.asyncDispose]()
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

test('layers that the store has not kept come from the registry of the image, reached as the options say', async () => {
  await using registry = await startRegistry({ tls: true, auth: 'htpasswd', users: { ann: 'secret' } })
  const image = await imageOf('from a registry')
  const name = await registry.push(image, 'team/app:1')
  const reach = ['--tls-verify=false', '--creds', 'ann:secret']
  await lab.must('pull', ...reach, name)
  const refused = await lab.forerun('push', name, 'oci:/srv/reached:v1')
  assert.match(refused.stderr, /signed by an authority that this system does not trust/)
  const { stdout } = await lab.must('push', ...reach, name, 'oci:/srv/reached:v1')
  assert.equal(stdout, `${image.digest}\n`)
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
    const copy = `${lab.registry.address}/files/app:${index}`
    const { json } = await lab.must<PushResult>('push', pulled.manifest, copy, '--json')
    assert.equal(await digestAt(tools, copy), pulled.manifest)
    if (index < 2) assert.equal(json.manifest, image.digest)
    else await tools.run(['podman', 'pull', '-q', '--tls-verify=false', copy])
  }
})
