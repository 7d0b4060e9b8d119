import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { authority, certify, ecKeys, publicPem } from '../trust/sigstore/authority.ts'
import { identityToken, type SigstoreServices, startSigstore } from './sigstore-services.ts'
import { matchRepository, type PushedImage, type TrustingHost, trustingHost } from './trusting-host.ts'

/** What cosign signs with a transparency log, and with certificates that live for seconds. The host asks neither of the two. */
let host: TrustingHost
let sigstore: SigstoreServices
const lifetime = 3_000
const issuer = 'https://accounts.example'
const email = 'jane@example.com'

before(async () => {
  host = await trustingHost()
  sigstore = await startSigstore({ lifetime })
  const { tools } = host
  const files = { 'log.pub': publicPem(sigstore.log), 'ca.pem': sigstore.root.pem, 'other.pub': publicPem(ecKeys()) }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(tools.folder, name), text)
  const since = 'start-time=2020-01-01T00:00:00Z'
  const log = `--rekor=url=${sigstore.url},public-key=log.pub,${since}`
  const fulcio = `--fulcio=url=${sigstore.url},certificate-chain=ca.pem,${since}`
  await tools.run(['cosign', 'trusted-root', 'create', log, fulcio, '--out=trusted.json'])
  await tools.run(['cosign', 'generate-key-pair'], { env: { COSIGN_PASSWORD: '' } })
})

after(async () => {
  // Of what `before` came to.
  await sigstore?.[Symbol.asyncDispose]()
  await host?.[Symbol.asyncDispose]()
})

const formats = { tag: ['--new-bundle-format=false'], bundle: [] }

async function sign({ pinned }: PushedImage, ...words: readonly string[]): Promise<void> {
  const services = ['--use-signing-config=false', '--rekor-url', sigstore.url, '--trusted-root', 'trusted.json']
  // Without the older scheme, cosign believes the trusted root alone.
  const env = { COSIGN_PASSWORD: '', SIGSTORE_REKOR_PUBLIC_KEY: '/shared/log.pub' }
  await host.tools.run(['cosign', 'sign', '--yes', ...services, ...words, pinned], { env })
}

test('a signature by a key counts when the log that the policy wants has it', async () => {
  for (const [format, words] of Object.entries(formats)) {
    const app = await host.pushed(`logged/${format}`)
    await sign(app, '--key', 'cosign.key', ...words)
    const agreed = format === 'tag' ? host.agreed : judged
    const key = { keyData: host.dataOf('cosign.pub'), ...matchRepository }
    host.demand(key)
    await agreed(app.name)
    host.demand({ ...key, rekorPublicKeyDatas: [host.dataOf('other.pub'), host.dataOf('log.pub')] })
    await agreed(app.name)
    host.demand({ ...key, rekorPublicKeyData: host.dataOf('other.pub') })
    await agreed(app.name, /entry of a transparency log that is not signed by the policy's key \(rekorPublicKey\)/)
  }
})

/** Bundles, which skopeo does not read. */
function judged(name: string, refusal?: RegExp): Promise<void> {
  return refusal === undefined ? host.accepted(name) : host.refused(name, refusal)
}

function fulcio(ca: string, subjectEmail = email, oidcIssuer = issuer): object {
  const rekorPublicKeyData = host.dataOf('log.pub')
  return { fulcio: { caData: host.dataOf(ca), oidcIssuer, subjectEmail }, rekorPublicKeyData, ...matchRepository }
}

test('a signature without a key counts by who signed, when its certificate is long expired', async () => {
  const token = identityToken({ issuer, email })
  const apps: [string, PushedImage][] = []
  for (const [format, words] of Object.entries(formats)) {
    const app = await host.pushed(`keyless/${format}`)
    await sign(app, '--fulcio-url', sigstore.url, '--identity-token', token, ...words)
    apps.push([format, app])
  }
  await sleep(lifetime)
  for (const [format, app] of apps) {
    const agreed = format === 'tag' ? host.agreed : judged
    host.demand(fulcio('ca.pem'))
    await agreed(app.name)
    host.demand(fulcio('ca.pem', 'eve@example.com'))
    await agreed(app.name, /is by jane@example\.com, not eve@example\.com/)
    host.demand(fulcio('ca.pem', email, 'https://evil.example'))
    await agreed(app.name, /is by someone whom https:\/\/accounts\.example vouches for, not https:\/\/evil\.example/)
    // A key's policy does not accept it: there is no such key.
    host.demand({ keyData: host.dataOf('cosign.pub'), ...matchRepository })
    await agreed(app.name, /is by another key/)
  }
})

test('a certificate of another authority does not count, nor a signature by a key', async () => {
  const app = await host.pushed('strange/app')
  const stranger = certify({ name: 'authority', extensions: authority() })
  writeFileSync(join(host.tools.folder, 'stranger.pem'), stranger.pem)
  await sign(app, '--fulcio-url', sigstore.url, '--identity-token', identityToken({ issuer, email }), ...formats.tag)
  host.demand(fulcio('stranger.pem'))
  await host.agreed(app.name, /is by a certificate of none of the policy's authorities/)
  const keyed = await host.pushed('strange/keyed')
  await sign(keyed, '--key', 'cosign.key', ...formats.tag)
  host.demand(fulcio('ca.pem'))
  await host.agreed(keyed.name, /lacks the annotation dev\.sigstore\.cosign\/certificate/)
})
