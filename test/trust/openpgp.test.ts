import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { verifiedText } from '../../src/trust/openpgp.ts'
import { binaryKeyring } from '../../src/trust/openpgp-keyring.ts'
import { SignatureFault } from '../../src/trust/signature-fault.ts'
import { execute } from '../lab/process.ts'
import { type GpgHome, gpgHome, in2020 } from './gpg-home.ts'

const text = '{"text":1}'
let gpg: GpgHome
let ann: string
let ben: string
let annsKey: Buffer

before(async () => {
  gpg = await gpgHome()
  ann = await gpg.key('ann@example.com')
  ben = await gpg.key('ben@example.com')
  annsKey = await gpg.publicKey([ann])
  mkdirSync(join(gpg.path, 'tmp'))
  process.env.TMPDIR = join(gpg.path, 'tmp')
})

after(() => gpg[Symbol.asyncDispose]())

async function refused(message: Buffer, fault: RegExp, keyring = annsKey): Promise<void> {
  await assert.rejects(verifiedText(message, { keyrings: [keyring] }), (error) => {
    assert.ok(error instanceof SignatureFault, String(error))
    assert.match(error.message, fault)
    return true
  })
  assert.deepEqual(readdirSync(join(gpg.path, 'tmp')), [])
}

test('a good signature gives the text that was signed, by one of several keyrings, binary or armored', async () => {
  const message = await gpg.sign(text, { by: [ann] })
  const bens = binaryKeyring(await gpg.publicKey([ben], { armor: true }), { name: 'ben' })
  const anns = binaryKeyring(await gpg.publicKey([ann], { armor: true }), { name: 'ann' })
  const both = binaryKeyring(await gpg.publicKey([ann, ben], { armor: true }), { name: 'both' })
  for (const keyrings of [[annsKey], [bens, anns], [both]]) {
    assert.equal(String(await verifiedText(message, { keyrings })), text)
  }
})

test('a message that is not compressed, or by ZLIB, is as good', async () => {
  for (const words of [
    ['-z', '0'],
    ['--compress-algo', 'zlib'],
  ]) {
    const message = await gpg.sign(text, { by: [ann], words })
    assert.equal(String(await verifiedText(message, { keyrings: [annsKey] })), text)
  }
  const bzip2 = await gpg.sign(text, { by: [ann], words: ['--compress-algo', 'bzip2'] })
  await refused(bzip2, /compressed in a way/)
})

test('a message written in parts, as gpg does when it reads a pipe, is as good', async () => {
  const long = 'x'.repeat(100_000)
  const { stdout } = await execute(['sh', '-c', `gpg --homedir ${gpg.path} --batch -u ${ann} --sign -o - | base64`], {
    input: long,
  })
  const message = Buffer.from(stdout, 'base64')
  assert.equal(String(await verifiedText(message, { keyrings: [annsKey] })), long)
})

test('a key that nobody trusts is named', async () => {
  const message = await gpg.sign(text, { by: [ben] })
  await refused(message, new RegExp(`^is by an unknown key ${ben.slice(-16)}$`))
})

test('a signature, a key that has expired, and a revoked key', async () => {
  const eve = await gpg.key('eve@example.com', { lifetime: '1d' })
  const ofEve = await gpg.sign(text, { by: [eve], words: in2020 })
  await refused(ofEve, new RegExp(`the key ${eve.slice(-16)}, which has expired`), await gpg.publicKey([eve]))
  const old = await gpg.sign(text, { by: [ann], words: [...in2020, '--default-sig-expire', '1d'] })
  await refused(old, /has expired/)
  const rex = await gpg.key('rex@example.com')
  const ofRex = await gpg.sign(text, { by: [rex] })
  assert.equal(String(await verifiedText(ofRex, { keyrings: [await gpg.publicKey([rex])] })), text)
  await gpg.revoke(rex)
  await refused(ofRex, /was revoked/, await gpg.publicKey([rex]))
})

test('a truncated message, at every length', async () => {
  for (const words of [[], ['-z', '0']]) {
    const message = await gpg.sign(text, { by: [ann], words })
    // Each takes a few milliseconds where gpgv has to be asked.
    for (let length = 0; length < message.length; length += 7) await refused(message.subarray(0, length), /./)
    await refused(message.subarray(0, -1), /truncated|damaged|exactly one/)
  }
})

test('a message of which any byte was changed gives no other text', async () => {
  const message = await gpg.sign(text, { by: [ann], words: ['-z', '0'] })
  for (let index = 0; index < message.length; index += 5) {
    const changed = Buffer.from(message)
    changed[index] = (changed[index] ?? 0) ^ 0x04
    const found = await verifiedText(changed, { keyrings: [annsKey] }).catch((error: unknown) => {
      assert.ok(error instanceof SignatureFault, String(error))
    })
    // The name and the time of the file, which the message also holds, are not signed.
    if (found !== undefined) assert.equal(String(found), text)
  }
})

test('two messages, two signatures, or something after the message', async () => {
  const message = await gpg.sign(text, { by: [ann] })
  const plain = await gpg.sign(text, { by: [ann], words: ['-z', '0'] })
  await refused(Buffer.concat([message, message]), /followed by something else/)
  await refused(Buffer.concat([plain, plain]), /exactly one signature/)
  await refused(Buffer.concat([message, Buffer.from('x')]), /followed by something else/)
  const two = await gpg.sign(text, { by: [ann, ben] })
  await refused(two, /exactly one signature/, await gpg.publicKey([ann, ben]))
})

test('what is signed in clear, armored, or as text with its line ends changed, and what is not signed', async () => {
  await refused(await gpg.sign(text, { by: [ann], words: ['--clear-sign'] }), /no binary OpenPGP/)
  await refused(await gpg.sign(text, { by: [ann], words: ['--armor'] }), /no binary OpenPGP/)
  await refused(await gpg.sign(text, { by: [ann], words: ['--textmode'] }), /exactly one signature/)
  await refused(Buffer.from(text), /no binary OpenPGP/)
  await refused(Buffer.alloc(0), /exactly one signature/)
  await refused(annsKey, /exactly one signature/)
})

test('a message that is too large, or becomes so', async () => {
  await refused(Buffer.alloc(4 * 1024 * 1024 + 1, 0xa3), /more than 4194304 bytes$/)
  const bomb = Buffer.concat([Buffer.from([0xa3, 1]), deflateRawSync(Buffer.alloc(64 * 1024 * 1024))])
  await refused(bomb, /more than 4194304 bytes decompressed/)
})

test('a keyring that holds none', async () => {
  for (const content of [
    '',
    'words',
    '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n$$$\n-----END PGP PUBLIC KEY BLOCK-----',
  ]) {
    assert.throws(
      () => binaryKeyring(Buffer.from(content), { name: '/etc/pki/x.gpg' }),
      /\/etc\/pki\/x\.gpg.*no public keys/,
    )
  }
  await refused(await gpg.sign(text, { by: [ann] }), /unknown key/, Buffer.from([0x99, 1, 2, 3]))
})

test('without gpgv, gpg does it; without both the error tells what to install', async () => {
  const message = await gpg.sign(text, { by: [ann] })
  const bensKey = await gpg.publicKey([ben])
  const folder = join(gpg.path, 'programs')
  const path = process.env.PATH
  try {
    mkdirSync(folder)
    process.env.PATH = folder
    await assert.rejects(verifiedText(message, { keyrings: [annsKey] }), { code: 'policy', hint: /apt install gpgv/ })
    symlinkSync('/usr/bin/gpg', join(folder, 'gpg'))
    assert.equal(String(await verifiedText(message, { keyrings: [annsKey] })), text)
    await refused(message, /unknown key/, bensKey)
  } finally {
    process.env.PATH = path
    rmSync(folder, { recursive: true })
  }
})

test('a gpgv that fails, or never stops talking, verifies nothing', async () => {
  const message = await gpg.sign(text, { by: [ann] })
  const folder = join(gpg.path, 'programs')
  const path = process.env.PATH
  const good = `/usr/bin/gpgv "$@"`
  for (const script of [`${good}; exit 1`, `${good}; cat /dev/zero`, `${good}; cat /dev/zero >&3`]) {
    mkdirSync(folder)
    writeFileSync(join(folder, 'gpgv'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    try {
      process.env.PATH = `${folder}:${path}`
      await refused(message, /was not verified|exactly one/)
    } finally {
      process.env.PATH = path
      rmSync(folder, { recursive: true })
    }
  }
})
