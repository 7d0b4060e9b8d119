import assert from 'node:assert/strict'
import { test } from 'node:test'
import { credentialLines, credentialValues, withCredentials } from '../../src/bundle/credentials.ts'

const configuration = { ociVersion: '1.0.2', process: { cwd: '/', args: ['x'] }, root: { path: 'rootfs' } }
const credentials = new Map([['KEY', '/srv/my-5%/key']])

test('the value of a credential is its place while the unit runs', () => {
  assert.deepEqual([...credentialValues(credentials, 'etcd')], [['KEY', '/run/credentials/etcd.service/KEY']])
})

test('the path of a credential reaches systemd as it is, or is refused', () => {
  assert.equal(credentialLines(credentials), 'LoadCredential=KEY:/srv/my-5%%/key\n')
  for (const path of ['/srv/a\\', '/srv/a b', '/srv/"a"', '/srv/a\nUser=x']) {
    assert.throws(() => credentialLines(new Map([['KEY', path]])), { code: 'variable', message: /credential 'KEY'/ })
  }
})

test('the container sees the credentials at the same path', () => {
  const { process, mounts } = withCredentials(configuration, { credentials, container: 'etcd' })
  const folder = '/run/credentials/etcd.service'
  assert.deepEqual(process.env, [`CREDENTIALS_DIRECTORY=${folder}`])
  const options = ['rbind', 'ro', 'nosuid', 'nodev', 'noexec']
  assert.deepEqual(mounts, [{ destination: folder, type: 'bind', source: folder, options }])
})

test('nothing is mounted over a /run of the host that the container has already', () => {
  const mounts = [{ destination: '/run', type: 'bind', source: '/run', options: ['rbind', 'rshared'] }]
  const changed = withCredentials({ ...configuration, mounts }, { credentials, container: 'etcd' })
  assert.deepEqual(changed.mounts, mounts)
})

test('a configuration without credentials stays the same', () => {
  assert.equal(withCredentials(configuration, { credentials: new Map(), container: 'etcd' }), configuration)
})

test('a process that could not read its credentials is refused', () => {
  const process = { ...configuration.process, user: { uid: 1000, gid: 1000 } }
  assert.throws(() => withCredentials({ ...configuration, process }, { credentials, container: 'etcd' }), {
    code: 'configuration',
    message: /user 1000/,
  })
})
