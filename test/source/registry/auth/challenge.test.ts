import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseChallenges } from '../../../../src/source/registry/auth/challenge.ts'

function parsed(header: string) {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])
}

test('a Bearer challenge has realm, service and scope', () => {
  const header = 'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"'
  assert.deepEqual(parsed(header), [
    ['bearer', { realm: 'https://auth.example/token', service: 'registry.example', scope: 'repository:a/b:pull,push' }],
  ])
})

test('several challenges, bare values, spaces and escapes are read', () => {
  assert.deepEqual(parsed('Basic realm = "a \\"b\\", c" , charset=UTF-8, BEARER Realm=x,service=""'), [
    ['basic', { realm: 'a "b", c', charset: 'UTF-8' }],
    ['bearer', { realm: 'x', service: '' }],
  ])
  assert.deepEqual(parsed('Negotiate, Basic realm="x"'), [
    ['negotiate', {}],
    ['basic', { realm: 'x' }],
  ])
})

test('what is malformed, and what comes after it, is left out', () => {
  assert.deepEqual(parsed(''), [])
  assert.deepEqual(parsed('realm="x"'), [])
  assert.deepEqual(parsed('Bearer realm="x", "loose", service="y"'), [['bearer', { realm: 'x' }]])
})

/** What goes back and forth over such a header takes minutes. */
test('a header made to be slow comes to its end', { timeout: 60_000 }, () => {
  assert.deepEqual(parsed(`Bearer realm="${'\\'.repeat(100_000)}`), [
    ['bearer', {}],
    ['realm', {}],
  ])
  assert.deepEqual(parsed(' ,'.repeat(100_000)), [])
  assert.equal(parsed(`Bearer ${'a '.repeat(100_000)}`).length, 100_001)
})
