import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseReference } from '../../src/image/reference.ts'
import { completedName, localName, registryName } from '../../src/source/stored-name.ts'

test('a name is completed, and only with its registry is it whole', () => {
  assert.equal(completedName('etcd:3.5'), 'docker.io/library/etcd:3.5')
  assert.equal(registryName('etcd:3.5'), undefined)
  assert.equal(registryName('quay.io/etcd'), 'quay.io/etcd:latest')
  for (const words of ['', 'Not a name', '<none>:<none>', '@0']) {
    assert.equal(completedName(words), undefined)
    assert.equal(registryName(words), undefined)
  }
})

test('whatever a file is called, its image gets a name', () => {
  const names: [path: string, words: string | undefined, name: string][] = [
    ['/srv/etcd', undefined, 'localhost/etcd:latest'],
    ['/srv/etcd/', '3.5', 'localhost/etcd:3.5'],
    ['etcd.tar.gz', undefined, 'localhost/etcd:latest'],
    ['My Image (1).tar', undefined, 'localhost/my-image-1:latest'],
    ['a__b..c--d', undefined, 'localhost/a-b-c-d:latest'],
    ['.tar', undefined, 'localhost/image:latest'],
    ['/', undefined, 'localhost/image:latest'],
    ['Ünï', undefined, 'localhost/n:latest'],
    ['x', '-.', 'localhost/x:latest'],
    ['x', 't'.repeat(200), `localhost/x:${'t'.repeat(128)}`],
    ['x', 'a/b:1', 'localhost/a/b:1'],
    ['x', 'A/b:1', 'localhost/x:A-b-1'],
    ['y'.repeat(255), undefined, `localhost/${'y'.repeat(200)}:latest`],
  ]
  for (const [path, words, name] of names) {
    assert.equal(localName(path, words), name)
    assert.doesNotThrow(() => parseReference(name))
  }
})
