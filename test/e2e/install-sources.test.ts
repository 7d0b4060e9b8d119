import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { assembleImage } from '../lab/image.ts'
import { packLayer } from '../lab/layer.ts'
import { startRegistry } from '../lab/registry.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** What registries hold images in, and how they are reached. */
let lab: InstalledHost

before(async () => {
  lab = await installedHost({ settle: 0.5 })
})

after(() => lab[Symbol.asyncDispose]())

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']
const exports = serviceExports(loop)
const here = process.arch === 'x64' ? 'linux/amd64' : 'linux/arm64'

/** Installs, starts, and reads a file in the container. */
async function content(image: string, ...words: string[]): Promise<string> {
  await lab.must('install', '--system', '--now', '--name', 'tried', ...words, image)
  const text = await lab.inside('tried', 'cat', '/which')
  await lab.must('uninstall', 'tried')
  await lab.must('images', 'delete', image)
  return text
}

test('manifests of both formats with layers of every compression are installed and run', async () => {
  for (const format of ['oci', 'docker'] as const) {
    for (const compression of ['gzip', 'zstd', 'none'] as const) {
      const which = `${format} ${compression}`
      const image = busyboxImage({ format, compression, exports, layers: [{ which }] })
      assert.equal(await content(await lab.push(`${format}/${compression}`, image)), which)
    }
  }
})

test('of an index and of a manifest list the image for this host is taken', async () => {
  for (const format of ['oci', 'docker'] as const) {
    const platforms = ['linux/s390x', here, 'linux/arm/v6', 'windows/amd64']
    const image = await busyboxImage({ format, platforms, exports, layers: [{ which: 'mine' }] })
    const reference = await lab.push(`${format}/index`, image)
    const { json } = await lab.must<{ id: string }>('pull', '--json', reference)
    assert.equal(json.id, image.imageIds[1])
    assert.equal(await content(reference), 'mine')
  }
})

test('an index without this host’s platform is refused, naming those that there are', async () => {
  const image = assembleImage([await packLayer({ which: 'x' })], { platforms: ['linux/s390x', 'linux/ppc64le'] })
  const { status, stderr } = await lab.forerun('install', await lab.push('foreign', image))
  assert.equal(status, 1)
  assert.match(stderr, /linux\/s390x.*linux\/ppc64le/)
})

test('a digest installs what it names, whatever the tag says by now', async () => {
  const [old, young] = [
    await busyboxImage({ exports, layers: [{ which: 'old' }] }),
    await busyboxImage({ exports, layers: [{ which: 'young' }] }),
  ]
  const reference = await lab.push('moving', old)
  await lab.push('moving', young)
  assert.equal(await content(`${reference}@${old.digest}`), 'old')
  assert.equal(await content(reference), 'young')
})

test('a layer above may remove and replace what lies below', async () => {
  const layers = [
    { which: 'first', 'gone/a': 'x', 'opaque/b': 'x' },
    { which: 'second', '.wh.gone': '', 'opaque/.wh..wh..opq': '', 'opaque/c': 'y' },
  ]
  const image = await lab.push('whiteouts', busyboxImage({ exports, layers }))
  await lab.must('install', '--now', image)
  assert.equal(
    await lab.inside('whiteouts', 'sh', '-c', 'cat which; ls /gone /opaque 2>/dev/null; true'),
    'second/opaque:\nc\n',
  )
  await lab.must('uninstall', 'whiteouts')
})

test('a registry over HTTPS is trusted by the host’s own authorities alone', async () => {
  await using secure = await startRegistry({ tls: true })
  const image = await secure.push(await busyboxImage({ exports, layers: [{ which: 'secret' }] }), 'secure')
  const refused = await lab.forerun('install', image)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /certificate/)
  assert.equal(await content(image, '--tls-verify=false'), 'secret')

  await copyFile(secure.caFile ?? '', join(lab.host.root, 'usr/local/share/ca-certificates/lab.crt'))
  await lab.shell('update-ca-certificates')
  assert.equal(await content(image), 'secret')
})

test('a registry that wants a token is asked for one, without a name where that is allowed', async () => {
  const users = { ann: 'secret' }
  await using open = await startRegistry({ auth: 'token', users, anonymousPull: true })
  const image = await open.push(await busyboxImage({ exports, layers: [{ which: 'token' }] }), 'deep/token')
  assert.equal(await content(image), 'token')

  await using closed = await startRegistry({ auth: 'token', users })
  const other = await closed.push(await busyboxImage({ exports, layers: [{ which: 'token' }] }), 'deep/token')
  const { status, stderr } = await lab.forerun('install', other)
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: .*(401|unauthorized|denied|credentials)/im)
})
