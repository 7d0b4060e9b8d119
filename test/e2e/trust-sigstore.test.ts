import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { offlineSigning, tagSigning } from '../lab/container-tools.ts'
import type { LabImage } from '../lab/image.ts'
import { authority, certify, codeSigning, ecKeys, names, usage } from '../trust/sigstore/authority.ts'
import { matchRepository, type PushedImage, type TrustingHost, trustingHost } from './trusting-host.ts'

/** What cosign and skopeo sign, a host believes by its policy.json, and by nothing else. */
let host: TrustingHost
const env = { COSIGN_PASSWORD: '' }

before(async () => {
  host = await trustingHost()
  for (const name of ['mine', 'other']) {
    await host.tools.run(['cosign', 'generate-key-pair', '--output-key-prefix', name], { env })
  }
})

after(() => host[Symbol.asyncDispose]())

async function sign({ pinned }: PushedImage, ...words: readonly string[]): Promise<void> {
  await host.tools.run(['cosign', 'sign', '--yes', '--key', 'mine.key', ...words, pinned], { env })
}

test("a signature under cosign's tag counts by its key, as skopeo has it", async () => {
  const app = await host.pushed('tagged/app')
  host.demand({ keyData: host.dataOf('mine.pub'), ...matchRepository })
  await host.agreed(
    app.name,
    /is not accepted: .*policy\.json \(docker: 127\.0\.0\.1:\d+\) wants a Sigstore signature by the key in policy\.json; found none/,
  )
  assert.equal(await host.lab.shell('find /var/lib/forerun/store -type f 2>/dev/null | wc -l'), '0')
  await sign(app, ...tagSigning)
  await host.agreed(app.name)
  await host.accepted(app.pinned)
  host.demand({ keyData: host.dataOf('other.pub'), ...matchRepository })
  await host.agreed(app.name, /sha256-[0-9a-f]{64}\.sig is by another key/)
  // cosign names the repository only, which the default does not accept.
  host.demand({ keyData: host.dataOf('mine.pub') })
  await host.agreed(app.name, /without a tag, and the policy wants signedIdentity matchRepoDigestOrExact/)
  host.demand({ keyData: host.dataOf('mine.pub'), rekorPublicKeyData: host.dataOf('other.pub'), ...matchRepository })
  await host.agreed(app.name, /has no entry of a transparency log, which the policy wants/)
})

test('signatures in the registry are looked for only where registries.d says, and the hint says where', async () => {
  const app = await host.pushed('unlooked/app')
  await sign(app, ...tagSigning)
  await sign(app, ...offlineSigning)
  host.demand({ keyData: host.dataOf('mine.pub'), ...matchRepository })
  host.lookInRegistry(false)
  await host.agreed(
    app.name,
    /found none\n.*write 'use-sigstore-attachments: true' below 'docker: 127\.0\.0\.1:\d+' in \/etc\/containers\/registries\.d\/lab\.yaml/,
  )
  host.lookInRegistry(true)
  await host.agreed(app.name)
})

test("a signature of skopeo's names the tag, and is not one for another", async () => {
  const app = await host.pushed('skopeo/app')
  const copy = [
    'copy',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    '--sign-by-sigstore-private-key',
    'mine.key',
  ]
  writeFileSync(join(host.tools.folder, 'passphrase'), '')
  const passphrase = ['--sign-passphrase-file', 'passphrase']
  host.demand({ keyData: host.dataOf('mine.pub') })
  const any = ['--registries.d', 'registries.d', '--insecure-policy']
  const signed = `${app.repository}:signed`
  await host.tools.run(['skopeo', ...any, ...copy, ...passphrase, `docker://${app.name}`, `docker://${signed}`])
  await host.agreed(signed)
  await host.accepted(app.pinned)
  await host.agreed(app.name, /is for 127\.0\.0\.1:\d+\/skopeo\/app:signed, and the policy wants/)
})

test('the signature of another image of the same key does not count', async () => {
  const [signed, unsigned] = [await host.pushed('replay/signed'), await host.pushed('replay/unsigned')]
  await sign(signed, ...tagSigning)
  host.demand({ keyData: host.dataOf('mine.pub'), ...matchRepository })
  const { registry } = host.lab
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
  await host.agreed(unsigned.name, /is for another image, sha256:/)
})

test("cosign's bundles count by their key, where the policy asks for the repository alone", async () => {
  const app = await host.pushed('bundled/app')
  host.demand({ keyData: host.dataOf('mine.pub'), ...matchRepository })
  await host.refused(app.name, /found none/)
  await sign(app, ...offlineSigning)
  await host.accepted(app.name)
  await host.accepted(app.pinned)
  host.demand({
    keyPaths: ['/etc/mine.pub', '/etc/other.pub'],
    signedIdentity: { type: 'exactRepository', dockerRepository: app.repository },
  })
  await host.refused(app.name, /the key \/etc\/mine\.pub, which policy\.json names, is not there/)
  for (const name of ['mine.pub', 'other.pub']) {
    writeFileSync(join(host.lab.host.root, 'etc', name), readFileSync(join(host.tools.folder, name)))
  }
  await host.accepted(app.name)
  host.demand({ keyData: host.dataOf('other.pub'), ...matchRepository })
  await host.refused(app.name, /@sha256:[0-9a-f]{64} is by another key/)
  host.demand({ keyData: host.dataOf('mine.pub') })
  await host.refused(
    app.name,
    /names no image: a bundle counts under signedIdentity matchRepository or exactRepository/,
  )
  host.demand({ keyData: host.dataOf('mine.pub'), rekorPublicKeyData: host.dataOf('other.pub'), ...matchRepository })
  await host.refused(app.name, /has no entry of a transparency log/)
})

test('a name that cosign signs as an annotation of a bundle is held against the policy', async () => {
  const app = await host.pushed('named/app')
  host.demand({ keyData: host.dataOf('mine.pub') })
  await sign(app, ...offlineSigning, '-a', `docker-reference=${app.name}`)
  await host.accepted(app.name)
  const other = `${app.repository}:2`
  await host.lab.push('named/app:2', app.image)
  await host.refused(other, /is for 127\.0\.0\.1:\d+\/named\/app:1, and the policy wants/)
})

test('an attestation by the same key is no signature', async () => {
  const app = await host.pushed('attested/app')
  writeFileSync(join(host.tools.folder, 'predicate.json'), '{}')
  const attest = ['cosign', 'attest', '--yes', '--key', 'mine.key', '--type', 'custom', '--predicate', 'predicate.json']
  await host.tools.run([...attest, ...offlineSigning, app.pinned], { env })
  host.demand({ keyData: host.dataOf('mine.pub'), ...matchRepository })
  await host.refused(
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
    const app = await host.pushed(repository, { platforms })
    host.demand({ keyData: host.dataOf('mine.pub'), ...matchRepository })
    await host.refused(app.name, /found none/)
    await sign(app, ...words)
    await host.accepted(app.name)
  }
})

test('a certificate of an own authority counts for its mail address', async () => {
  const root = certify({ name: 'root', extensions: authority() })
  const keys = ecKeys()
  writeFileSync(join(host.tools.folder, 'signer.pkcs8'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const importing = ['cosign', 'import-key-pair', '--key', 'signer.pkcs8', '--output-key-prefix', 'signer']
  await host.tools.run(importing, { env })
  const leaf = certify({ issuer: root, keys, extensions: [usage(codeSigning), names([1, 'jane@example.com'])] })
  writeFileSync(join(host.tools.folder, 'signer.pem'), leaf.pem)
  writeFileSync(join(host.tools.folder, 'root.pem'), root.pem)
  const app = await host.pushed('certified/app')
  const certificate = ['--certificate', 'signer.pem', '--certificate-chain', 'root.pem']
  const words = ['cosign', 'sign', '--yes', '--key', 'signer.key', ...tagSigning, ...certificate, app.pinned]
  await host.tools.run(words, { env })
  const by = (email: string) => ({
    pki: { caRootsData: host.dataOf('root.pem'), subjectEmail: email },
    ...matchRepository,
  })
  host.demand(by('jane@example.com'))
  await host.accepted(app.name)
  host.demand(by('eve@example.com'))
  await host.refused(app.name, /is by jane@example\.com, not eve@example\.com/)
})
