import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digester, digestOf, finishDigest, parseDigest } from '../../src/image/digest.ts'

test('bytes have the digest that sha256sum and sha512sum tell', () => {
  const sha512 = parseDigest(
    'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  )
  assert.equal(digestOf(Buffer.from('abc')), 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  assert.equal(digestOf(Buffer.from('abc'), sha512), sha512)
  assert.equal(finishDigest(digester(sha512).update('a').update('bc'), sha512), sha512)
})

test('a text that is no digest of a known algorithm is refused', () => {
  for (const text of [
    '',
    'sha256:',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `sha1:${'a'.repeat(40)}`,
  ]) {
    assert.throws(() => parseDigest(text), { code: 'reference', hint: /sha256/ }, text)
  }
})
