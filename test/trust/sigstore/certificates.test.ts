import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { SigstoreAuthority, SigstoreSignedRequirement } from '../../../src/trust/policy.ts'
import { verifySigstore } from '../../../src/trust/sigstore/verify-sigstore.ts'
import {
  authority,
  certify,
  codeSigning,
  ecKeys,
  extension,
  type Holder,
  names,
  oidcIssuer,
  publicPem,
  usage,
  type Wish,
} from './authority.ts'
import { bits, boolean, sequence, utf8 } from './der.ts'
import { testLog } from './log.ts'
import {
  asBundle,
  bundled,
  cosigned,
  cosignPayload,
  judged,
  repository,
  signStatement,
  tlogEntry,
  verdict,
} from './signing.ts'

const log = testLog()
const root = certify({ name: 'root', extensions: authority() })
const intermediate = certify({ name: 'intermediate', issuer: root, extensions: [...authority(0), usage(codeSigning)] })
const made = new Date('2024-05-01T12:00:00Z')
const [from, to] = [new Date('2024-05-01T11:55:00Z'), new Date('2024-05-01T12:05:00Z')]
const accounts = 'https://accounts.example'
const identity = [usage(codeSigning), names([1, 'jane@example.com']), ...oidcIssuer(accounts)]

function leafOf(wish: Wish = {}): Holder {
  return certify({ issuer: intermediate, from, to, extensions: identity, ...wish })
}

function fulcio(
  ca: string,
  more: Partial<Extract<SigstoreAuthority, { kind: 'fulcio' }>> = {},
): SigstoreSignedRequirement {
  return {
    type: 'sigstoreSigned',
    authority: {
      kind: 'fulcio',
      ca: { data: Buffer.from(ca) },
      oidcIssuer: accounts,
      subjectEmail: 'jane@example.com',
      buildSignerUri: undefined,
      ...more,
    },
    rekorKeys: [{ data: publicPem(testLog()) }, { data: publicPem(log) }],
    signedIdentity: { type: 'matchRepository' },
  }
}

function signed(leaf: Holder, { chain = intermediate.pem + root.pem, time = made } = {}) {
  return cosigned(cosignPayload(), leaf.privateKey, { log, time, certificate: leaf.pem, chain })
}

test('a certificate that has expired since counts, if it was valid when the log got the entry', async () => {
  assert.equal(await verdict(fulcio(root.pem), signed(leafOf())), 'accepted')
  assert.equal(await verdict(fulcio(root.pem + intermediate.pem), signed(leafOf(), { chain: '' })), 'accepted')
  for (const time of [new Date('2024-05-01T11:54:59Z'), new Date('2024-05-01T12:05:01Z'), new Date()]) {
    assert.match(await verdict(fulcio(root.pem), signed(leafOf(), { time })), /when its certificate was not valid/)
  }
  const short = certify({ name: 'intermediate', keys: intermediate, issuer: root, to: from, extensions: authority() })
  const reason = await verdict(fulcio(root.pem), signed(leafOf(), { chain: short.pem }))
  assert.match(reason, /when the certificate of its authority was not valid/)
})

test('the chain must lead to an authority of the policy', async () => {
  const stranger = certify({ name: 'root', extensions: authority() })
  assert.match(await verdict(fulcio(stranger.pem), signed(leafOf())), /none of the policy's authorities$/)
  assert.match(await verdict(fulcio(root.pem), signed(leafOf(), { chain: '' })), /none of the policy's authorities$/)
  const own = certify({ extensions: [...identity, ...authority()], from, to })
  assert.match(await verdict(fulcio(root.pem), signed(own)), /none of the policy's authorities$/)
  // The authority's name with another key.
  const forged = certify({ name: 'intermediate', issuer: stranger, extensions: authority() })
  const reason = await verdict(
    fulcio(root.pem),
    signed(leafOf({ issuer: forged }), { chain: forged.pem + intermediate.pem }),
  )
  assert.match(reason, /none of the policy's authorities$/)
})

test('an issuer must be an authority, for that depth and that use', async () => {
  const via = async (extensions: Buffer[], between = [intermediate]) => {
    const issuer = certify({ name: 'another', issuer: between.at(-1) ?? root, extensions })
    const chain = [issuer, ...between].map(({ pem }) => pem).join('')
    return verdict(fulcio(root.pem), signed(leafOf({ issuer }), { chain }))
  }
  assert.equal(await via(authority(), []), 'accepted')
  assert.match(await via(identity, []), /issuer is no authority$/)
  assert.match(await via([extension('2.5.29.19', sequence())], []), /issuer is no authority$/)
  assert.match(await via([extension('2.5.29.19', sequence(boolean(false)))], []), /issuer is no authority$/)
  // Which OpenSSL finds out itself.
  const signing = extension('2.5.29.15', bits(Buffer.of(0b1000_0000), 7), true)
  assert.match(await via([authority()[0] ?? signing, signing], []), /none of the policy's authorities$/)
  // The intermediate one allows none below it.
  assert.match(await via(authority()), /longer chain than its authority allows$/)
  assert.match(await via([...authority(), usage('1.3.6.1.5.5.7.3.1')], []), /not for signing code$/)
  assert.match(await via([...authority(), extension('2.5.29.30', sequence())], []), /certain names only/)
  assert.match(
    await via([...authority(), extension('1.2.3.4', sequence(), true)], []),
    /unknown critical extension, 1\.2\.3\.4$/,
  )
})

test('the certificate itself must be for signing code, strong and understood', async () => {
  const cases: [Wish, RegExp][] = [
    [{ extensions: [usage('1.3.6.1.5.5.7.3.1'), ...identity.slice(1)] }, /not for signing code$/],
    [{ extensions: [usage('2.5.29.37.0'), ...identity.slice(1)] }, /^accepted$/],
    [{ extensions: [...identity, extension('1.2.3', sequence(), true)] }, /unknown critical extension/],
    [{ extensions: [...identity, extension('1.2.3', sequence())] }, /^accepted$/],
    [{ extensions: [...identity, usage(codeSigning)] }, /says one thing twice$/],
    [{ algorithm: ['1.2.840.10045.4.1', 'sha1'] }, /weak or an unknown algorithm$/],
    [{ keys: generateKeyPairSync('rsa', { modulusLength: 1024 }) }, /not by the key of its certificate$/],
  ]
  for (const [wish, expected] of cases) assert.match(await verdict(fulcio(root.pem), signed(leafOf(wish))), expected)
})

test('who signed must be the one whom the policy names', async () => {
  const cases: [Buffer[], RegExp][] = [
    [[names([1, 'eve@example.com']), ...oidcIssuer(accounts)], /^is by eve@example\.com, not jane@example\.com$/],
    [[names([1, 'JANE@example.com']), ...oidcIssuer(accounts)], /^is by JANE@example\.com, not/],
    [
      [names([1, 'jane@example.com'], [1, 'eve@example.com']), ...oidcIssuer(accounts)],
      /^is by jane@example\.com, eve/,
    ],
    [[names([6, 'jane@example.com']), ...oidcIssuer(accounts)], /^is by someone unnamed/],
    [[...oidcIssuer(accounts)], /^is by someone unnamed/],
    [
      [names([1, 'jane@example.com']), ...oidcIssuer('https://evil.example')],
      /whom https:\/\/evil\.example vouches for/,
    ],
    [[names([1, 'jane@example.com']), ...oidcIssuer(accounts, 'https://evil.example')], /names two issuers/],
    [[names([1, 'jane@example.com']), ...oidcIssuer('https://evil.example', accounts)], /names two issuers/],
    [[names([1, 'jane@example.com'])], /names no issuer/],
    [
      [names([1, 'jane@example.com']), extension('1.3.6.1.4.1.57264.1.8', Buffer.from(accounts))],
      /cannot be read|malformed/,
    ],
    [[names([1, 'jane@example.com']), extension('1.3.6.1.4.1.57264.1.1', Buffer.from(accounts))], /^accepted$/],
    [[names([1, 'jane@example.com']), extension('1.3.6.1.4.1.57264.1.8', utf8(accounts))], /^accepted$/],
    // OpenSSL lets nobody have issued what it finds malformed.
    [[extension('2.5.29.17', Buffer.from('x')), ...oidcIssuer(accounts)], /none of the policy's authorities$/],
  ]
  for (const [extensions, expected] of cases) {
    const leaf = leafOf({ extensions: [usage(codeSigning), ...extensions] })
    assert.match(await verdict(fulcio(root.pem), signed(leaf)), expected)
  }
})

test('a build is named by its address, alone or together with a mail address', async () => {
  const uri = 'https://github.com/team/app/.github/workflows/build.yml@refs/heads/main'
  const built = [...identity, extension('1.3.6.1.4.1.57264.1.9', utf8(uri))]
  const leaf = leafOf({ extensions: built })
  assert.equal(
    await verdict(fulcio(root.pem, { subjectEmail: undefined, buildSignerUri: uri }), signed(leaf)),
    'accepted',
  )
  assert.equal(await verdict(fulcio(root.pem, { buildSignerUri: uri }), signed(leaf)), 'accepted')
  assert.match(await verdict(fulcio(root.pem, { buildSignerUri: `${uri}x` }), signed(leaf)), /^is by https:\/\/github/)
  assert.match(await verdict(fulcio(root.pem, { buildSignerUri: uri }), signed(leafOf())), /^is by someone unnamed/)
})

test("the log's entry must be of this certificate and this message", async () => {
  const leaf = leafOf()
  const twin = leafOf({ keys: leaf })
  const payload = cosignPayload()
  const other = cosigned(payload, leaf.privateKey, { log, time: made, certificate: twin.pem, chain: intermediate.pem })
  const annotations = { ...other.annotations, 'dev.sigstore.cosign/certificate': leaf.pem }
  assert.match(await verdict(fulcio(root.pem), { ...other, annotations }), /for another signature$/)
  const foreign = signed(leaf)
  const changed = { ...foreign, payload: cosignPayload(`${repository}-x`) }
  assert.match(await verdict(fulcio(root.pem), changed), /for another signature$/)
  // Somebody put a good certificate's text into the log with a signature by another key.
  const thief = cosigned(payload, ecKeys().privateKey, {
    log,
    time: made,
    certificate: leaf.pem,
    chain: intermediate.pem,
  })
  assert.match(await verdict(fulcio(root.pem), thief), /^is not by the key of its certificate$/)
})

test('garbage in place of certificates is told, and never thrown', async () => {
  const good = signed(leafOf())
  const leaf = good.annotations['dev.sigstore.cosign/certificate'] ?? ''
  const broken = leafOf().raw
  const block = (bytes: Buffer, label = 'CERTIFICATE') =>
    `-----BEGIN ${label}-----\n${bytes.toString('base64')}\n-----END ${label}-----\n`
  const texts = [
    '',
    'x',
    leaf + leaf,
    leaf.slice(0, 200),
    block(Buffer.from('x')),
    block(broken, 'PUBLIC KEY'),
    block(broken.subarray(0, 90)),
    leaf.repeat(20),
  ]
  for (const text of texts) {
    const certificate = cosigned(cosignPayload(), ecKeys().privateKey, { log, time: made, certificate: text })
    assert.notEqual(await verdict(fulcio(root.pem), certificate), 'accepted')
    assert.match(await verdict(fulcio(root.pem), certificate), /certificate|signature/)
  }
  for (let at = 0; at < broken.length; at += 3) {
    const flipped = Buffer.from(broken)
    flipped[at] = (flipped[at] ?? 0) ^ 0x41
    const certificate = cosigned(cosignPayload(), ecKeys().privateKey, { log, time: made, certificate: block(flipped) })
    assert.notEqual(await verdict(fulcio(root.pem), certificate), 'accepted')
    const chain = cosigned(cosignPayload(), leafOf().privateKey, {
      log,
      time: made,
      certificate: leaf,
      chain: block(flipped),
    })
    assert.notEqual(await verdict(fulcio(root.pem), chain), 'accepted')
  }
  const annotations = { ...good.annotations, 'dev.sigstore.cosign/chain': 'x' }
  assert.match(await verdict(fulcio(root.pem), { ...good, annotations }), /not in PEM format$/)
  const { 'dev.sigstore.cosign/certificate': _, ...without } = good.annotations
  assert.match(await verdict(fulcio(root.pem), { ...good, annotations: without }), /^lacks the annotation/)
})

test('certificates that all issued each other do not keep the reader busy', async () => {
  const keys = ecKeys()
  const ring = Array.from({ length: 15 }, () =>
    certify({ name: 'ring', keys, issuer: { name: 'ring', ...keys }, extensions: authority() }),
  )
  const leaf = leafOf({ issuer: { name: 'ring', ...keys } })
  const started = performance.now()
  const reason = await verdict(fulcio(root.pem), signed(leaf, { chain: ring.map(({ pem }) => pem).join('') }))
  assert.match(reason, /none of the policy's authorities$/)
  assert.ok(performance.now() - started < 2_000)
})

test("an authority's certificate that cannot be read is an error", async () => {
  for (const ca of ['', 'x', publicPem(root).toString()]) {
    await assert.rejects(verifySigstore(fulcio(ca), judged([])), { code: 'policy', message: /not in PEM format/ })
  }
})

test('a bundle with a certificate counts by the time of its entry, and not without a signed one', async () => {
  const leaf = leafOf()
  for (const version of ['bundle.v0.3+json', 'bundle+json;version=0.3', 'bundle+json;version=0.1']) {
    const options = {
      log,
      time: made,
      verifier: leaf.pem,
      certificate: leaf.raw,
      version: `application/vnd.dev.sigstore.${version}`,
    }
    const good = bundled(signStatement(), leaf.privateKey, options)
    assert.equal(await verdict(fulcio(root.pem + intermediate.pem), asBundle(good)), 'accepted')
    const late = bundled(signStatement(), leaf.privateKey, { ...options, time: new Date() })
    assert.match(
      await verdict(fulcio(root.pem + intermediate.pem), asBundle(late)),
      /when its certificate was not valid/,
    )
    const timeless = bundled(signStatement(), leaf.privateKey, { ...options, proved: 'proof' })
    assert.match(await verdict(fulcio(root.pem + intermediate.pem), asBundle(timeless)), /^has no signed time/)
  }
  const keyed = bundled(signStatement(), leaf.privateKey, { log, time: made, verifier: leaf.pem })
  assert.equal(await verdict(fulcio(root.pem), asBundle(keyed)), 'has no certificate')
})

function pki(more: Partial<Extract<SigstoreAuthority, { kind: 'pki' }>> = {}): SigstoreSignedRequirement {
  return {
    type: 'sigstoreSigned',
    authority: {
      kind: 'pki',
      roots: { data: Buffer.from(root.pem) },
      intermediates: { data: Buffer.from(intermediate.pem) },
      subjectEmail: 'jane@example.com',
      subjectHostname: undefined,
      ...more,
    },
    rekorKeys: [],
    signedIdentity: { type: 'matchRepository' },
  }
}

test('a certificate of another authority must be valid now, for the mail address or the host', async () => {
  const extensions = [
    usage(codeSigning),
    names([1, 'eve@example.com'], [1, 'jane@example.com'], [2, '*.build.example']),
  ]
  const leaf = certify({ issuer: intermediate, extensions })
  const signature = cosigned(cosignPayload(), leaf.privateKey, { certificate: leaf.pem })
  assert.equal(await verdict(pki(), signature), 'accepted')
  assert.equal(
    await verdict(pki({ subjectEmail: undefined, subjectHostname: 'a.build.example' }), signature),
    'accepted',
  )
  assert.match(
    await verdict(pki({ subjectHostname: 'build.example' }), signature),
    /^is by \*\.build\.example, not build\.example$/,
  )
  assert.match(await verdict(pki({ subjectHostname: '10.0.0.1' }), signature), /^is by \*\.build\.example, not 10/)
  assert.match(await verdict(pki({ subjectEmail: 'x@example.com' }), signature), /^is by eve@example\.com, jane/)
  assert.match(await verdict(pki({ intermediates: undefined }), signature), /none of the policy's authorities$/)
  const expired = certify({ issuer: intermediate, from, to, extensions })
  const old = cosigned(cosignPayload(), expired.privateKey, { certificate: expired.pem })
  assert.match(await verdict(pki(), old), /when its certificate was not valid/)
  const bundle = bundled(signStatement(), leaf.privateKey, { certificate: leaf.raw })
  assert.equal(await verdict(pki(), asBundle(bundle)), 'accepted')
})

test('certificates made by openssl are read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-openssl-'))
  try {
    const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' })
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-keyout']
    openssl('req', '-x509', ...key, 'ca.key', '-out', 'ca.pem', '-subj', '/O=example/CN=authority', '-days', '2')
    openssl('req', ...key, 'leaf.key', '-out', 'leaf.csr', '-subj', '/CN=unused')
    const lines = [
      'keyUsage=critical,digitalSignature',
      'extendedKeyUsage=codeSigning',
      'subjectAltName=critical,email:jane@example.com',
      `1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:${accounts}`,
    ]
    writeFileSync(join(folder, 'leaf.cnf'), lines.join('\n'))
    openssl(
      'x509',
      '-req',
      '-in',
      'leaf.csr',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-extfile',
      'leaf.cnf',
      '-out',
      'leaf.pem',
    )
    const [ca, certificate, privateKey] = ['ca.pem', 'leaf.pem', 'leaf.key'].map((name) =>
      readFileSync(join(folder, name), 'utf8'),
    ) as [string, string, string]
    const signature = cosigned(cosignPayload(), createPrivateKey(privateKey), { log, certificate })
    assert.equal(await verdict(fulcio(ca), signature), 'accepted')
    assert.match(await verdict(fulcio(root.pem), signature), /none of the policy's authorities$/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a second entry of a log counts where the first does not', async () => {
  const leaf = leafOf()
  const bundle = bundled(signStatement(), leaf.privateKey, {
    log,
    time: made,
    verifier: leaf.pem,
    certificate: leaf.raw,
  })
  const material = bundle.verificationMaterial as { tlogEntries: object[] }
  material.tlogEntries.unshift(tlogEntry(testLog(), {}, { time: made, proved: 'promise' }))
  assert.equal(await verdict(fulcio(root.pem + intermediate.pem), asBundle(bundle)), 'accepted')
})
