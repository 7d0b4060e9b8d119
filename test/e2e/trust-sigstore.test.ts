import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { busyboxImage } from '../lab/busybox.ts'
import { type ContainerTools, containerTools, offlineSigning, tagSigning } from '../lab/container-tools.ts'
import type { LabImage } from '../lab/image.ts'
import { authority, certify, codeSigning, ecKeys, names, usage } from '../trust/sigstore/authority.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** What cosign and skopeo sign, a host believes by its policy.json, and by nothing else. */
let lab: InstalledHost
let tools: ContainerTools
const env = { COSIGN_PASSWORD: '' }

before(async () => {
  lab = await installedHost()
  tools = await containerTools()
  for (const name of ['mine', 'other']) {
    await tools.run(['cosign', 'generate-key-pair', '--output-key-prefix', name], { env })
  }
  lookInRegistry(true)
})

after(async () => {
  await tools[Symbol.asyncDispose]()
  await lab[Symbol.asyncDispose]()
})

interface Pushed {
  readonly image: LabImage
  /** By tag. */
  readonly name: string
  /** By digest. */
  readonly pinned: string
}

async function pushed(repository: string, options: Parameters<typeof busyboxImage>[0] = {}): Promise<Pushed> {
  const image = await busyboxImage({ ...options, layers: [{ which: repository }] })
  const name = await lab.push(`${repository}:1`, image)
  return { image, name, pinned: `${name.replace(/:1$/, '')}@${image.digest}` }
}

async function sign({ pinned }: Pushed, ...words: readonly string[]): Promise<void> {
  await tools.run(['cosign', 'sign', '--yes', '--key', 'mine.key', ...words, pinned], { env })
}

function dataOf(name: string): string {
  return readFileSync(join(tools.folder, name)).toString('base64')
}

const matchRepository = { signedIdentity: { type: 'matchRepository' } }

/** Requires one thing of all of the registry's images. */
function demand(requirement: object): void {
  const policy = {
    default: [{ type: 'reject' }],
    transports: { docker: { [lab.registry.address]: [{ type: 'sigstoreSigned', ...requirement }] } },
  }
  for (const file of [join(lab.host.root, 'etc/containers/policy.json'), join(tools.folder, 'policy.json')]) {
    writeFileSync(file, JSON.stringify(policy))
  }
}

function lookInRegistry(attachments: boolean): void {
  const text = `docker:\n  ${lab.registry.address}:\n    use-sigstore-attachments: ${attachments}\n`
  for (const folder of [join(lab.host.root, 'etc/containers/registries.d'), join(tools.folder, 'registries.d')]) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'lab.yaml'), text)
  }
}

async function refused(name: string, message: RegExp): Promise<void> {
  const { status, stderr } = await lab.forerun('pull', name)
  assert.equal(status, 1, stderr)
  assert.match(stderr, message)
}

/** What the store has already is judged like anything else. */
async function accepted(name: string): Promise<void> {
  await lab.must('pull', name)
}

/** Whether the containers tools say the same with the same files. */
async function skopeoAccepts(name: string): Promise<boolean> {
  const target = join(tools.folder, 'copied')
  rmSync(target, { recursive: true, force: true })
  const words = ['--policy', 'policy.json', '--registries.d', 'registries.d', 'copy', '--src-tls-verify=false']
  const { status } = await tools.run(['skopeo', ...words, `docker://${name}`, 'dir:copied'], { check: false })
  return status === 0
}

async function agreed(name: string, refusal: RegExp | undefined): Promise<void> {
  if (refusal === undefined) await accepted(name)
  else await refused(name, refusal)
  assert.equal(await skopeoAccepts(name), refusal === undefined)
}

test("a signature under cosign's tag counts by its key, as skopeo has it", async () => {
  const app = await pushed('tagged/app')
  demand({ keyData: dataOf('mine.pub'), ...matchRepository })
  await agreed(
    app.name,
    /is not accepted: .*policy\.json \(docker: 127\.0\.0\.1:\d+\) wants a Sigstore signature by the key in policy\.json; found none/,
  )
  assert.equal(await lab.shell('find /var/lib/forerun/store/objects /var/lib/forerun/store/blobs -type f'), '')
  await sign(app, ...tagSigning)
  await agreed(app.name, undefined)
  await accepted(app.pinned)
  demand({ keyData: dataOf('other.pub'), ...matchRepository })
  await agreed(app.name, /sha256-[0-9a-f]{64}\.sig is by another key/)
  // cosign names the repository only, which the default does not accept.
  demand({ keyData: dataOf('mine.pub') })
  await agreed(app.name, /without a tag, and the policy wants signedIdentity matchRepoDigestOrExact/)
  demand({ keyData: dataOf('mine.pub'), rekorPublicKeyData: dataOf('other.pub'), ...matchRepository })
  await agreed(app.name, /has no entry of a transparency log, which the policy wants/)
})

test('signatures in the registry are looked for only where registries.d says, and the hint says where', async () => {
  const app = await pushed('unlooked/app')
  await sign(app, ...tagSigning)
  await sign(app, ...offlineSigning)
  demand({ keyData: dataOf('mine.pub'), ...matchRepository })
  lookInRegistry(false)
  await agreed(
    app.name,
    /found none\n.*write 'use-sigstore-attachments: true' below 'docker: 127\.0\.0\.1:\d+' in \/etc\/containers\/registries\.d\/lab\.yaml/,
  )
  lookInRegistry(true)
  await agreed(app.name, undefined)
})

test("a signature of skopeo's names the tag, and is not one for another", async () => {
  const app = await pushed('skopeo/app')
  const copy = [
    'copy',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    '--sign-by-sigstore-private-key',
    'mine.key',
  ]
  writeFileSync(join(tools.folder, 'passphrase'), '')
  const passphrase = ['--sign-passphrase-file', 'passphrase']
  demand({ keyData: dataOf('mine.pub') })
  const any = ['--registries.d', 'registries.d', '--insecure-policy']
  const signed = app.name.replace(/:1$/, ':signed')
  await tools.run(['skopeo', ...any, ...copy, ...passphrase, `docker://${app.name}`, `docker://${signed}`])
  await agreed(signed, undefined)
  await accepted(app.pinned)
  await agreed(app.name, /is for 127\.0\.0\.1:\d+\/skopeo\/app:signed, and the policy wants/)
})

test('the signature of another image of the same key does not count', async () => {
  const [signed, unsigned] = [await pushed('replay/signed'), await pushed('replay/unsigned')]
  await sign(signed, ...tagSigning)
  demand({ keyData: dataOf('mine.pub'), ...matchRepository })
  const { registry } = lab
  const tag = (image: LabImage) => `${image.digest.replace(':', '-')}.sig`
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const from = `${registry.url}/v2/replay/signed`
  const text = await (await fetch(`${from}/manifests/${tag(signed.image)}`, { headers: { accept: mediaType } })).text()
  const { config, layers } = JSON.parse(text)
  for (const { digest } of [config, ...layers]) {
    const blob = Buffer.from(await (await fetch(`${from}/blobs/${digest}`)).arrayBuffer())
    await registry.pushBlob('replay/unsigned', digest, blob)
  }
  await registry.pushManifest('replay/unsigned', tag(unsigned.image), { mediaType, bytes: Buffer.from(text) })
  await agreed(unsigned.name, /is for another image, sha256:/)
})

test("cosign's bundles count by their key, where the policy asks for the repository alone", async () => {
  const app = await pushed('bundled/app')
  demand({ keyData: dataOf('mine.pub'), ...matchRepository })
  await refused(app.name, /found none/)
  await sign(app, ...offlineSigning)
  await accepted(app.name)
  await accepted(app.pinned)
  demand({
    keyPaths: ['/etc/mine.pub', '/etc/other.pub'],
    signedIdentity: { type: 'exactRepository', dockerRepository: app.name.replace(/:1$/, '') },
  })
  await refused(app.name, /the key \/etc\/mine\.pub, which policy\.json names, is not there/)
  for (const name of ['mine.pub', 'other.pub']) {
    writeFileSync(join(lab.host.root, 'etc', name), readFileSync(join(tools.folder, name)))
  }
  await accepted(app.name)
  demand({ keyData: dataOf('other.pub'), ...matchRepository })
  await refused(app.name, /@sha256:[0-9a-f]{64} is by another key/)
  demand({ keyData: dataOf('mine.pub') })
  await refused(app.name, /names no image: a bundle counts under signedIdentity matchRepository or exactRepository/)
  demand({ keyData: dataOf('mine.pub'), rekorPublicKeyData: dataOf('other.pub'), ...matchRepository })
  await refused(app.name, /has no entry of a transparency log/)
})

test('a name that cosign signs as an annotation of a bundle is held against the policy', async () => {
  const app = await pushed('named/app')
  demand({ keyData: dataOf('mine.pub') })
  await sign(app, ...offlineSigning, '-a', `docker-reference=${app.name}`)
  await accepted(app.name)
  const other = app.name.replace(/:1$/, ':2')
  await lab.push('named/app:2', app.image)
  await refused(other, /is for 127\.0\.0\.1:\d+\/named\/app:1, and the policy wants/)
})

test('an attestation by the same key is no signature', async () => {
  const app = await pushed('attested/app')
  writeFileSync(join(tools.folder, 'predicate.json'), '{}')
  const attest = ['cosign', 'attest', '--yes', '--key', 'mine.key', '--type', 'custom', '--predicate', 'predicate.json']
  await tools.run([...attest, ...offlineSigning, app.pinned], { env })
  demand({ keyData: dataOf('mine.pub'), ...matchRepository })
  await refused(
    app.name,
    /is an attestation \(https:\/\/cosign\.sigstore\.dev\/attestation\/v1\) and no signature|found none/,
  )
})

test('the signature of an index counts for the manifest of this host, of both kinds', async () => {
  const platforms = ['linux/s390x', process.arch === 'x64' ? 'linux/amd64' : 'linux/arm64']
  for (const [repository, words] of [
    ['index/tagged', tagSigning],
    ['index/bundled', offlineSigning],
  ] as const) {
    const app = await pushed(repository, { platforms })
    demand({ keyData: dataOf('mine.pub'), ...matchRepository })
    await refused(app.name, /found none/)
    await sign(app, ...words)
    await accepted(app.name)
  }
})

test('a certificate of an own authority counts for its mail address', async () => {
  const root = certify({ name: 'root', extensions: authority() })
  const keys = ecKeys()
  writeFileSync(join(tools.folder, 'signer.pkcs8'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const importing = ['cosign', 'import-key-pair', '--key', 'signer.pkcs8', '--output-key-prefix', 'signer']
  await tools.run(importing, { env })
  const leaf = certify({ issuer: root, keys, extensions: [usage(codeSigning), names([1, 'jane@example.com'])] })
  writeFileSync(join(tools.folder, 'signer.pem'), leaf.pem)
  writeFileSync(join(tools.folder, 'root.pem'), root.pem)
  const app = await pushed('certified/app')
  const certificate = ['--certificate', 'signer.pem', '--certificate-chain', 'root.pem']
  const words = ['cosign', 'sign', '--yes', '--key', 'signer.key', ...tagSigning, ...certificate, app.pinned]
  await tools.run(words, { env })
  const by = (email: string) => ({ pki: { caRootsData: dataOf('root.pem'), subjectEmail: email }, ...matchRepository })
  demand(by('jane@example.com'))
  await accepted(app.name)
  demand(by('eve@example.com'))
  await refused(app.name, /is by jane@example\.com, not eve@example\.com/)
})
