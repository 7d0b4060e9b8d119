import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { acceptanceOf } from '../../src/trust/acceptance.ts'
import type { Policy, Requirement } from '../../src/trust/policy.ts'
import { scratch } from '../store/scratch.ts'

const image = { transport: 'docker', scopes: ['example.org/team/app:1', 'example.org/team'] } as const

function policyOf(...requirements: Requirement[]): Policy {
  const scopes = new Map([['example.org/team', requirements]])
  return { file: 'policy.json', default: [{ type: 'reject' }], transports: new Map([['docker', scopes]]) }
}

test('an image of which nothing is required needs no acceptance', () => {
  assert.equal(acceptanceOf(policyOf({ type: 'insecureAcceptAnything' }), image), undefined)
})

test('an acceptance lapses with the content of a key, and does not with its place', () => {
  using folder = scratch()
  const one = join(folder.path, 'one.gpg')
  const two = join(folder.path, 'two.gpg')
  const acceptance = (path: string) =>
    acceptanceOf(policyOf({ type: 'signedBy', keys: [{ path }], signedIdentity: { type: 'matchExact' } }), image)
  writeFileSync(one, 'key')
  writeFileSync(two, 'key')
  const before = acceptance(one)
  assert.match(String(before), /^[0-9a-f]{64}$/)
  assert.equal(acceptance(two), before)
  writeFileSync(one, 'another key')
  assert.notEqual(acceptance(one), before)
})

test('an acceptance lapses with the identity that is asked for, and with another scope', () => {
  const keys = [{ data: Buffer.from('key') }]
  const exact = policyOf({ type: 'signedBy', keys, signedIdentity: { type: 'matchExact' } })
  const loose = policyOf({ type: 'signedBy', keys, signedIdentity: { type: 'matchRepository' } })
  const elsewhere = { transport: 'docker', scopes: ['example.org/other'] } as const
  const all = [acceptanceOf(exact, image), acceptanceOf(loose, image), acceptanceOf(exact, elsewhere)]
  assert.equal(new Set(all).size, 3)
})
