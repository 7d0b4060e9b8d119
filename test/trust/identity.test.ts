import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseReference } from '../../src/image/reference.ts'
import { identityAccepts } from '../../src/trust/identity.ts'
import type { SignedIdentity } from '../../src/trust/policy.ts'

const digest = `sha256:${'a'.repeat(64)}`
const exact = { type: 'matchExact' } as const
const usual = { type: 'matchRepoDigestOrExact' } as const
const repository = { type: 'matchRepository' } as const
const reference = (dockerReference: string) => ({ type: 'exactReference', dockerReference }) as const
const inRepository = (dockerRepository: string) => ({ type: 'exactRepository', dockerRepository }) as const
const remap = (prefix: string, signedPrefix: string) => ({ type: 'remapIdentity', prefix, signedPrefix }) as const

const accepted: [SignedIdentity, string | undefined, string][] = [
  [exact, 'quay.io/a/b:1', 'quay.io/a/b:1'],
  [exact, 'etcd', 'docker.io/library/etcd:latest'],
  [exact, 'docker.io/library/etcd:1', 'etcd:1'],
  [exact, `quay.io/a@${digest}`, `quay.io/a@${digest}`],
  [usual, 'quay.io/a/b:1', 'quay.io/a/b:1'],
  [usual, `quay.io/a@${digest}`, 'quay.io/a:7'],
  [usual, `quay.io/a:1@${digest}`, 'quay.io/a:7'],
  [repository, 'quay.io/a:1', 'quay.io/a:2'],
  [repository, 'quay.io/a:1', 'quay.io/a'],
  [reference('quay.io/a:1'), 'mirror.example/x:2', 'quay.io/a:1'],
  [reference('quay.io/a:1'), undefined, 'quay.io/a:1'],
  [inRepository('quay.io/a'), undefined, 'quay.io/a:9'],
  [inRepository('quay.io/a:1'), undefined, 'quay.io/a:9'],
  [remap('mirror.example', 'quay.io'), 'mirror.example/a/b:1', 'quay.io/a/b:1'],
  [remap('mirror.example/all', 'quay.io/team'), 'mirror.example/all/b:1', 'quay.io/team/b:1'],
  [remap('mirror.example/all/b', 'quay.io/b'), `mirror.example/all/b@${digest}`, 'quay.io/b:3'],
  [remap('mirror.example/all', 'quay.io/team'), 'other.example/b:1', 'other.example/b:1'],
]

const refused: [SignedIdentity, string | undefined, string][] = [
  [exact, 'quay.io/a:1', 'quay.io/a:2'],
  [exact, 'quay.io/a:latest', 'quay.io/a'],
  [exact, `quay.io/a@${digest}`, 'quay.io/a:1'],
  [exact, 'quay.io/a:1', 'quay.io/b:1'],
  [exact, undefined, 'quay.io/a:1'],
  [exact, 'quay.io/a:1', 'not a reference'],
  [exact, 'quay.io/a:1', ''],
  [usual, 'quay.io/a:1', 'quay.io/a:2'],
  [usual, 'quay.io/a:latest', 'quay.io/a'],
  [usual, `quay.io/a@${digest}`, 'quay.io/a'],
  [usual, `quay.io/a@${digest}`, 'quay.io/b:1'],
  [usual, 'quay.io/a:1', `quay.io/a@${digest}`],
  [usual, undefined, 'quay.io/a:1'],
  [repository, 'quay.io/a:1', 'quay.io/a/b:1'],
  [repository, 'quay.io/a:1', 'quay.io:443/a:1'],
  [repository, undefined, 'quay.io/a:1'],
  [reference('quay.io/a:1'), 'quay.io/a:1', 'quay.io/a:2'],
  [reference('quay.io/a:latest'), 'quay.io/a:1', 'quay.io/a'],
  [inRepository('quay.io/a'), 'quay.io/a:1', 'quay.io/b:1'],
  [remap('mirror.example/all', 'quay.io/team'), 'mirror.example/all/b:1', 'mirror.example/all/b:1'],
  [remap('mirror.example/all', 'quay.io/team'), 'mirror.example/allb:1', 'quay.io/teamb:1'],
  [remap('mirror.example', 'quay.io'), 'mirror.example:5000/b:1', 'quay.io:5000/b:1'],
  [remap('mirror.example', 'docker.io'), 'mirror.example/b:1', 'docker.io/library/b:1'],
  [remap('mirror.example', 'quay.io'), undefined, 'quay.io/b:1'],
]

for (const [list, expected] of [
  [accepted, true],
  [refused, false],
] as const) {
  for (const [identity, wanted, signed] of list) {
    test(`${identity.type}: ${wanted} signed as '${signed}' is ${expected ? 'accepted' : 'refused'}`, () => {
      const image = wanted === undefined ? undefined : parseReference(wanted)
      assert.equal(identityAccepts(identity, image, signed), expected)
    })
  }
}
