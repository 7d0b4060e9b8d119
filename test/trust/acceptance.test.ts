import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseReference } from '../../src/image/reference.ts'
import { acceptanceOf } from '../../src/trust/acceptance.ts'
import type { Policy, Requirement } from '../../src/trust/policy.ts'
import { scratch } from '../store/scratch.ts'

const image = {
  transport: 'docker',
  scopes: ['example.org/team/app:1', 'example.org/team'],
  reference: parseReference('example.org/team/app:1'),
} as const

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
  const elsewhere = { ...image, scopes: ['example.org/other'] }
  const all = [acceptanceOf(exact, image), acceptanceOf(loose, image), acceptanceOf(exact, elsewhere)]
  assert.equal(new Set(all).size, 3)
})

test('an acceptance is for one name: the same requirements under another are to be met anew', () => {
  const keys = [{ data: Buffer.from('key') }]
  const policy = policyOf({ type: 'signedBy', keys, signedIdentity: { type: 'matchRepoDigestOrExact' } })
  const names = ['app:1', 'app:2', 'tool:1'].map((name) => `example.org/team/${name}`)
  const all = [...names.map(parseReference), undefined].map((reference) =>
    acceptanceOf(policy, { ...image, reference }),
  )
  assert.equal(new Set(all).size, 4)
  assert.equal(acceptanceOf(policy, { ...image, reference: parseReference('example.org/team/app:1') }), all[0])
})
