import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseLocation } from '../../src/image/location.ts'
import { formatReference } from '../../src/image/reference.ts'
import { referenceOf, scopesOf } from '../../src/trust/scopes.ts'
import { scratch } from '../store/scratch.ts'

const digest = `sha256:${'a'.repeat(64)}`

test('an image of a registry lies in itself, its repository, the namespaces, the registry, and the domains above', () => {
  assert.deepEqual(scopesOf(parseLocation('registry.example.com:5000/team/app:1')), [
    'registry.example.com:5000/team/app:1',
    'registry.example.com:5000/team/app',
    'registry.example.com:5000/team',
    'registry.example.com:5000',
    '*.example.com',
    '*.com',
  ])
  assert.deepEqual(scopesOf(parseLocation('docker.io/etcd')), [
    'docker.io/library/etcd:latest',
    'docker.io/library/etcd',
    'docker.io/library',
    'docker.io',
    '*.io',
  ])
  assert.deepEqual(scopesOf(parseLocation('localhost/app:1')), ['localhost/app:1', 'localhost/app', 'localhost'])
  assert.deepEqual(scopesOf(parseLocation('[::1]:5000/app:1')), ['[::1]:5000/app:1', '[::1]:5000/app', '[::1]:5000'])
})

test('a digest takes the place of the tag', () => {
  for (const name of [`quay.io/a@${digest}`, `quay.io/a:1@${digest}`]) {
    assert.equal(scopesOf(parseLocation(name))[0], `quay.io/a@${digest}`)
  }
})

test('an image of the daemon lies in its name, and one that an id names in none', () => {
  assert.deepEqual(scopesOf(parseLocation('docker-daemon:etcd:3.5')).slice(0, 2), [
    'docker.io/library/etcd:3.5',
    'docker.io/library/etcd',
  ])
  for (const id of [digest, digest.slice(7), digest.slice(7, 19)]) {
    assert.deepEqual(scopesOf(parseLocation(`docker-daemon:${id}`)), [])
    assert.equal(referenceOf(parseLocation(`docker-daemon:${id}`)), undefined)
  }
})

test('an archive of docker lies in no scope, but may have a name', () => {
  assert.deepEqual(scopesOf(parseLocation('docker-archive:/srv/a.tar:etcd:3.5')), [])
  const reference = referenceOf(parseLocation('docker-archive:/srv/a.tar:etcd:3.5'))
  assert.equal(reference && formatReference(reference), 'docker.io/library/etcd:3.5')
  assert.equal(referenceOf(parseLocation('docker-archive:/srv/a.tar')), undefined)
  assert.equal(referenceOf(parseLocation('docker-archive:/srv/a.tar:@0')), undefined)
})

test('a path is absolute and goes through no symbolic link', () => {
  using folder = scratch()
  mkdirSync(join(folder.path, 'real/layout'), { recursive: true })
  symlinkSync('real', join(folder.path, 'link'))
  for (const transport of ['oci', 'oci-archive', 'dir'] as const) {
    const scopes = scopesOf(parseLocation(`${transport}:${folder.path}/link/../link/layout/`))
    assert.deepEqual(scopes.slice(0, 3), [`${folder.path}/real/layout`, `${folder.path}/real`, folder.path])
    assert.equal(scopes.at(-1), '/tmp')
    assert.equal(referenceOf(parseLocation(`${transport}:${folder.path}/link/layout`)), undefined)
  }
  assert.deepEqual(scopesOf({ transport: 'dir', path: '/' }), [])
  assert.equal(scopesOf({ transport: 'dir', path: join(folder.path, 'link/none') })[0], `${folder.path}/real/none`)
  assert.equal(scopesOf({ transport: 'dir', path: 'package.json' })[0], join(process.cwd(), 'package.json'))
})

test('an image of containers-storage lies in its store', () => {
  const store = '[overlay@/var/lib/containers/storage]'
  const common = [`${store}docker.io/library`, `${store}docker.io`, store, '[/var/lib/containers/storage]']
  assert.deepEqual(scopesOf(parseLocation('containers-storage:etcd:3.5')), [
    `${store}docker.io/library/etcd:3.5`,
    `${store}docker.io/library/etcd`,
    ...common,
  ])
  assert.deepEqual(scopesOf(parseLocation(`containers-storage:[vfs@/srv/store+/run/store]etcd`)).slice(-2), [
    '[vfs@/srv/store]',
    '[/srv/store]',
  ])
})
