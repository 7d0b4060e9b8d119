import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import { formatReference, isShortName, parseReference, repositoryName } from '../../src/image/reference.ts'

const digest = `sha256:${'ab'.repeat(32)}` as const

test('names are completed as the containers tools complete them', () => {
  const names: [string, string][] = [
    ['etcd', 'docker.io/library/etcd:latest'],
    ['etcd:3.5', 'docker.io/library/etcd:3.5'],
    ['coreos/etcd', 'docker.io/coreos/etcd:latest'],
    ['docker.io/etcd', 'docker.io/library/etcd:latest'],
    ['index.docker.io/a/etcd', 'docker.io/a/etcd:latest'],
    ['localhost/etcd', 'localhost/etcd:latest'],
    ['localhost:5000/etcd', 'localhost:5000/etcd:latest'],
    ['127.0.0.1:5000/a/b/c:x', '127.0.0.1:5000/a/b/c:x'],
    ['[::1]:5000/etcd', '[::1]:5000/etcd:latest'],
    ['[2001:db8::1]/etcd', '[2001:db8::1]/etcd:latest'],
    ['REGISTRY/etcd', 'REGISTRY/etcd:latest'],
    [`etcd@${digest}`, `docker.io/library/etcd@${digest}`],
    [`etcd:3.5@${digest}`, `docker.io/library/etcd:3.5@${digest}`],
    ['a.b/c__d/e---f.g_h:_x-Y.z', 'a.b/c__d/e---f.g_h:_x-Y.z'],
    [`a.b/c:${'t'.repeat(128)}`, `a.b/c:${'t'.repeat(128)}`],
    [`a.b/${'p'.repeat(255)}`, `a.b/${'p'.repeat(255)}:latest`],
  ]
  for (const [text, full] of names) {
    assert.equal(formatReference(parseReference(text)), full)
    assert.deepEqual(parseReference(full), parseReference(text), text)
  }
})

test('a text that is no image name is refused with a hint', () => {
  const texts = [
    '',
    ' ',
    ':latest',
    'etcd:',
    'etcd@',
    'etcd:3:5',
    'Etcd',
    'a b',
    '../x',
    'a//b',
    '/a',
    'a/',
    'a.b/',
    'a.b/-c',
    'a.b/c___d',
    'a.b/c..d',
    'a-.b/c',
    'a_b.c/d',
    'host:99999/etcd',
    '[::g]/etcd',
    '[::1/etcd',
    '[1:2]/etcd',
    'user@host/etcd',
    `etcd:-x`,
    `a.b/c:${'t'.repeat(129)}`,
    `a.b/${'p'.repeat(256)}`,
    'etcd@sha256:abc',
    `etcd@md5:${'a'.repeat(32)}`,
    `etcd@${digest.toUpperCase()}`,
    'ab'.repeat(32),
    'http://registry.example/etcd',
    'docker://registry.example/etcd',
    'docker-archive:/srv/etcd.tar',
    `a.b/${'a-'.repeat(50_000)}`,
    'etcd\n',
  ]
  for (const text of texts) {
    assert.throws(
      () => parseReference(text),
      (error) => {
        assert.ok(error instanceof ForerunError, text)
        assert.equal(error.code, 'reference', text)
        assert.ok(error.hint, text)
        assert.doesNotMatch(error.message, /\n/)
        assert.ok(error.message.length < 300)
        return true
      },
      text,
    )
  }
})

test('an upper-case repository is told to be lower case', () => {
  assert.throws(() => parseReference('quay.io/CoreOS/etcd'), { hint: /lower case/ })
})

test('a name is short that leaves out the registry', () => {
  for (const name of ['etcd', 'etcd:3.5', 'coreos/etcd', `etcd@${digest}`]) assert.ok(isShortName(name), name)
  for (const name of ['localhost/etcd', 'a.b/etcd', 'a:5000/etcd', 'A/etcd', 'docker.io/library/etcd']) {
    assert.ok(!isShortName(name), name)
  }
})

test('a repository is named without tag and digest', () => {
  assert.equal(repositoryName(parseReference(`etcd:3.5@${digest}`)), 'docker.io/library/etcd')
})
