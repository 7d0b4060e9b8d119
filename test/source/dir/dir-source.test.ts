import assert from 'node:assert/strict'
import { renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ErrorCode } from '../../../src/errors.ts'
import { dirSource } from '../../../src/source/dir/dir-source.ts'
import { assembleImage, type LabImage } from '../../lab/image.ts'
import { packLayer } from '../../lab/layer.ts'
import { context, folder, here, readWhole, refused } from '../reading-files.ts'

const layer = await packLayer({ which: 'one' })
const image = assembleImage([layer])
const platforms = ['linux/s390x', `linux/${here.architecture}`]

/** What skopeo writes. */
function written(t: TestContext, of: LabImage = image): string {
  const path = folder(t)
  writeFileSync(join(path, 'version'), 'Directory Transport Version: 1.1\n')
  for (const [digest, bytes] of of.blobs) writeFileSync(join(path, hex(digest)), bytes)
  for (const { digest, bytes } of of.manifests) {
    const name = digest === of.digest ? 'manifest.json' : `${hex(digest)}.manifest.json`
    writeFileSync(join(path, name), bytes)
  }
  return path
}

function hex(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1)
}

const layerFile = hex([...image.blobs.keys()][0] ?? '')

test('an image is read, and stored under the name of its folder', async (t) => {
  const path = join(folder(t), 'My Etcd')
  renameSync(written(t), path)
  const { digest, reference } = await readWhole(dirSource({ path }))
  assert.equal(digest, image.digest)
  assert.equal(reference, 'localhost/my-etcd:latest')
})

test('of an index the image for the platform is taken', async (t) => {
  const many = assembleImage([layer], { platforms })
  const path = written(t, many)
  const { digest, indexes } = await readWhole(dirSource({ path }))
  assert.equal(digest, many.manifests[1]?.digest)
  assert.deepEqual(
    indexes.map((index) => index.digest),
    [many.digest],
  )
  rmSync(join(path, `${hex(digest)}.manifest.json`))
  const error = await refused(readWhole(dirSource({ path })), { code: 'archive', message: /for this platform/, path })
  assert.match(error.hint ?? '', /skopeo copy --all/)
})

test('signatures of the image, and of each manifest of an index, are found', async (t) => {
  const many = assembleImage([layer], { platforms })
  const path = written(t, many)
  const payload = Buffer.from('{"critical":{}}')
  const annotations = { 'dev.cosignproject.cosign/signature': 'MEUC' }
  const mimeType = 'application/vnd.dev.cosign.simplesigning.v1+json'
  const sigstore = JSON.stringify({ mimeType, payload: payload.toString('base64'), annotations })
  const openPgp = Buffer.from([0x88, 1, 2, 3])
  writeFileSync(join(path, 'signature-1'), openPgp)
  writeFileSync(join(path, 'signature-2'), `\0sigstore-json\n${sigstore}`)
  const source = dirSource({ path })
  const { digest, indexes } = await source.manifest(here, context)
  writeFileSync(join(path, `${hex(digest)}.signature-1`), openPgp)
  assert.deepEqual(await source.signatures(indexes[0]?.digest ?? digest, context), {
    simple: [{ origin: join(path, 'signature-1'), content: openPgp }],
    sigstore: [{ origin: join(path, 'signature-2'), content: { kind: 'simple-signing', payload, annotations } }],
  })
  assert.deepEqual(await source.signatures(digest, context), {
    simple: [{ origin: join(path, `${hex(digest)}.signature-1`), content: openPgp }],
    sigstore: [],
  })
  writeFileSync(join(path, 'signature-2'), 'rubbish')
  await refused(source.signatures(many.digest as typeof digest, context), { code: 'signature', message: /signature-2/ })
})

type Fault = [name: string, code: ErrorCode, message: RegExp, spoil: (path: string) => void]

const faults: Fault[] = [
  ['an empty folder', 'archive', /lacks manifest.json/, (path) => rmSync(join(path, 'manifest.json'))],
  ['a file version of another kind', 'archive', /a file version/, (path) => writeFileSync(join(path, 'version'), '7')],
  ['a manifest of garbage', 'manifest', /not JSON/, (path) => writeFileSync(join(path, 'manifest.json'), 'hello')],
  ['a manifest of a gigabyte', 'limit', /1073741824/, (path) => truncateSync(join(path, 'manifest.json'), 2 ** 30)],
  [
    'a manifest of an artifact',
    'not-an-image',
    /Helm chart/,
    (path) => writeFileSync(join(path, 'manifest.json'), chart),
  ],
  ['a missing layer', 'archive', /lacks sha256/, (path) => rmSync(join(path, layerFile))],
  ['a layer that is cut short', 'digest', /has 3 bytes/, (path) => truncateSync(join(path, layerFile), 3)],
  [
    'a layer that is a link',
    'archive',
    /symbolic link/,
    (path) => {
      rmSync(join(path, layerFile))
      symlinkSync('/etc/hostname', join(path, layerFile))
    },
  ],
]

const chart =
  image.manifests[0]?.bytes.toString().replace('vnd.oci.image.config.v1+json', 'vnd.cncf.helm.config.v1+json') ?? ''

for (const [name, code, message, spoil] of faults) {
  test(`${name} is one error that names the folder`, async (t) => {
    const path = written(t)
    spoil(path)
    await refused(readWhole(dirSource({ path })), { code, message, path })
  })
}

test('an OCI layout is told to be one', async (t) => {
  const path = folder(t)
  writeFileSync(join(path, 'oci-layout'), '{}')
  const error = await refused(readWhole(dirSource({ path })), { code: 'archive', message: /lacks manifest.json/ })
  assert.match(error.hint ?? '', /oci:DIR/)
})
