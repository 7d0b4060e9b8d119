import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import {
  defaultContainerName,
  formatFullLocation,
  formatLocation,
  type ImageLocation,
  parseLocation,
} from '../../src/image/location.ts'
import { formatReference } from '../../src/image/reference.ts'

const digest = `sha256:${'ab'.repeat(32)}` as const

test('a registry is meant by a name alone, by docker://, and by the old oci: of a name', () => {
  const names: [string, string, string | undefined][] = [
    ['etcd', 'docker.io/library/etcd:latest', 'etcd'],
    ['docker://etcd:3.5', 'docker.io/library/etcd:3.5', 'etcd:3.5'],
    ['oci:coreos/etcd', 'docker.io/coreos/etcd:latest', 'coreos/etcd'],
    ['quay.io/coreos/etcd:v3', 'quay.io/coreos/etcd:v3', undefined],
    ['docker://quay.io/coreos/etcd:v3', 'quay.io/coreos/etcd:v3', undefined],
    ['oci:quay.io/coreos/etcd:v3', 'quay.io/coreos/etcd:v3', undefined],
    ['localhost:5000/etcd', 'localhost:5000/etcd:latest', undefined],
    ['[::1]:5000/etcd', '[::1]:5000/etcd:latest', undefined],
    [`etcd@${digest}`, `docker.io/library/etcd@${digest}`, `etcd@${digest}`],
  ]
  for (const [text, full, shortName] of names) {
    const location = parseLocation(text)
    assert.ok(location.transport === 'docker', text)
    assert.equal(formatReference(location.reference), full)
    assert.equal(location.shortName, shortName)
    assert.equal(formatFullLocation(location), full)
    assert.equal(formatLocation(location), shortName ?? full)
  }
})

const places: [string, ImageLocation][] = [
  ['oci:/srv/etcd', { transport: 'oci', path: '/srv/etcd', image: undefined }],
  ['oci:./etcd:3.5', { transport: 'oci', path: './etcd', image: '3.5' }],
  ['oci:../etcd:@1', { transport: 'oci', path: '../etcd', image: '@1' }],
  ['oci:/srv/x:quay.io:443/etcd:3', { transport: 'oci', path: '/srv/x', image: 'quay.io:443/etcd:3' }],
  ['oci-archive:etcd.tar', { transport: 'oci-archive', path: 'etcd.tar', image: undefined }],
  ['oci-archive:/srv/etcd.tar:3.5', { transport: 'oci-archive', path: '/srv/etcd.tar', image: '3.5' }],
  ['docker-archive:/srv/etcd.tar', { transport: 'docker-archive', path: '/srv/etcd.tar', image: undefined }],
  ['docker-archive:etcd.tar:etcd:3.5', { transport: 'docker-archive', path: 'etcd.tar', image: 'etcd:3.5' }],
  ['docker-archive:etcd.tar:@0', { transport: 'docker-archive', path: 'etcd.tar', image: '@0' }],
  ['docker-daemon:etcd:3.5', { transport: 'docker-daemon', image: 'etcd:3.5' }],
  [`docker-daemon:${digest}`, { transport: 'docker-daemon', image: digest }],
  ['containers-storage:localhost/app:1', { transport: 'containers-storage', image: 'localhost/app:1' }],
  ['containers-storage:[overlay@/srv]app', { transport: 'containers-storage', image: '[overlay@/srv]app' }],
  ['dir:/srv/etcd', { transport: 'dir', path: '/srv/etcd' }],
  ['dir:a:b', { transport: 'dir', path: 'a:b' }],
]

test('a place is written and read as the containers tools do', () => {
  for (const [text, location] of places) {
    assert.deepEqual(parseLocation(text), location)
    assert.equal(formatLocation(location), text)
    assert.equal(formatFullLocation(location), text)
  }
})

test('the old tool’s spellings mean what they did', () => {
  assert.deepEqual(parseLocation('docker:etcd:3.5'), { transport: 'docker-daemon', image: 'etcd:3.5' })
  assert.deepEqual(parseLocation('dockertar:/srv/etcd.tar'), {
    transport: 'docker-archive',
    path: '/srv/etcd.tar',
    image: undefined,
  })
})

test('a place without a name is refused with a hint', () => {
  const texts = [
    '',
    ':',
    'docker://',
    'docker:',
    'docker-daemon:',
    'containers-storage:',
    'dir:',
    'dir:a\0b',
    'oci:',
    'oci:/srv/etcd:',
    'oci-archive:',
    'oci-archive::3.5',
    'docker-archive:etcd.tar:',
    'dockertar:',
    'oci-archive:x:@',
    'oci-archive:x:@one',
    'docker-archive:x:@-1',
    'http://registry.example/etcd',
    'ftp://x',
    'ostree:etcd',
  ]
  for (const text of texts) {
    assert.throws(
      () => parseLocation(text),
      (error) => {
        assert.ok(error instanceof ForerunError, text)
        assert.equal(error.code, 'reference', text)
        assert.ok(error.hint, text)
        assert.doesNotMatch(error.message, /[\n\0]/)
        return true
      },
      text,
    )
  }
})

test('a container is called as the last part of its image, with the tag unless it is latest', () => {
  const names: [string, string][] = [
    ['a.b/b/etcd:3.5', 'etcd-3.5'],
    ['a.b/b/etcd', 'etcd'],
    ['etcd:latest', 'etcd'],
    [`etcd@${digest}`, 'etcd'],
    [`etcd:3.5@${digest}`, 'etcd-3.5'],
    ['localhost:5000/etcd', 'etcd'],
    ['docker-daemon:coreos/etcd:3.5', 'etcd-3.5'],
    ['containers-storage:localhost/etcd', 'etcd'],
    ['containers-storage:[overlay@/srv]etcd:3.5', 'etcd-3.5'],
    ['dir:/srv/etcd/', 'etcd'],
    ['oci:/srv/etcd', 'etcd'],
    ['oci:/srv/etcd:3.5', 'etcd-3.5'],
    ['oci:/srv/etcd:latest', 'etcd'],
    ['oci:/srv/etcd:@1', 'etcd'],
    ['oci:/srv/x:quay.io/coreos/etcd:3.5', 'etcd-3.5'],
    ['oci-archive:/srv/etcd.tar', 'etcd'],
    ['oci-archive:/srv/etcd.oci.tar.gz', 'etcd.oci'],
    ['oci-archive:/srv/etcd.tgz:3.5', 'etcd-3.5'],
    ['docker-archive:etcd.tar.zst', 'etcd'],
    ['docker-archive:x.tar:coreos/etcd:3.5', 'etcd-3.5'],
    ['docker-archive:x.tar:etcd', 'etcd'],
  ]
  for (const [text, name] of names) assert.equal(defaultContainerName(parseLocation(text)), name, text)
})
