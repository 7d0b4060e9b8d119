import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatLocation, parseLocation } from '../../../../src/image/location.ts'
import { readRegistriesConf } from '../../../../src/source/registry/config/registries-conf.ts'
import { shortNameCandidates } from '../../../../src/source/registry/config/short-name.ts'
import { treeOf } from '../containers-files.ts'

function names(text: string, words: string): string[] {
  using tree = treeOf({ 'etc/containers/registries.conf': text })
  const location = parseLocation(words)
  assert.ok(location.transport === 'docker')
  return shortNameCandidates(readRegistriesConf(tree.place), location).candidates.map(formatLocation)
}

const digest = `sha256:${'a'.repeat(64)}`
const several = 'unqualified-search-registries = ["one.example", "two.example:5000", "docker.io"]\n'

test('a full name means itself', () => {
  assert.deepEqual(names(`${several}[aliases]\n"etcd" = "quay.io/coreos/etcd"`, 'docker.io/etcd'), [
    'docker.io/library/etcd:latest',
  ])
  assert.deepEqual(names(several, 'localhost/etcd:1'), ['localhost/etcd:1'])
})

test("where nothing is said a short name is one of Docker's registry", () => {
  assert.deepEqual(names('', 'etcd'), ['docker.io/library/etcd:latest'])
  assert.deepEqual(names('', 'coreos/etcd:3.5'), ['docker.io/coreos/etcd:3.5'])
})

test('an alias goes before the search registries, in every mode, and keeps tag and digest', () => {
  for (const mode of ['enforcing', 'permissive', 'disabled']) {
    const conf = `${several}short-name-mode = "${mode}"\n[aliases]\n"etcd" = "quay.io/coreos/etcd"\n"a/b" = "docker.io/b"`
    assert.deepEqual(names(conf, 'etcd'), ['quay.io/coreos/etcd:latest'])
    assert.deepEqual(names(conf, 'etcd:3.5'), ['quay.io/coreos/etcd:3.5'])
    assert.deepEqual(names(conf, `etcd@${digest}`), [`quay.io/coreos/etcd@${digest}`])
    assert.deepEqual(names(conf, `a/b:1@${digest}`), [`docker.io/library/b:1@${digest}`])
  }
})

test('search registries are tried in order, where nobody needs to be asked', () => {
  for (const mode of ['', 'short-name-mode = "permissive"', 'short-name-mode = "disabled"']) {
    assert.deepEqual(names(`${several}${mode}`, 'etcd:3.5'), [
      'one.example/etcd:3.5',
      'two.example:5000/etcd:3.5',
      'docker.io/library/etcd:3.5',
    ])
  }
})

test('in mode enforcing several registries are an error that says what to write, and a single one is none', () => {
  const enforcing = 'short-name-mode = "enforcing"\n'
  assert.throws(() => names(`${several}${enforcing}`, 'etcd:3.5'), {
    code: 'reference',
    message: /one\.example\/etcd:3\.5, two\.example:5000\/etcd:3\.5, docker\.io\/etcd:3\.5/,
    hint: /alias for 'etcd'/,
  })
  assert.deepEqual(names(`unqualified-search-registries = ["one.example"]\n${enforcing}`, 'etcd'), [
    'one.example/etcd:latest',
  ])
})

test('an empty list of search registries is an error', () => {
  assert.throws(() => names('unqualified-search-registries = []', 'etcd'), {
    code: 'reference',
    hint: /docker\.io\/library\/etcd/,
  })
})
