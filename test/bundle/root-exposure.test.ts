import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type HostLookup, rootExposures } from '../../src/bundle/root-exposure.ts'
import type { Mount, RuntimeConfiguration } from '../../src/bundle/runtime-schema.ts'

const places = ['/var/lib/forerun/store', '/var/lib/forerun/containers']
const host: HostLookup = {
  realPath: (path) => path.replace(/^\/link(?=\/|$)/, '/var/lib'),
  isMountedBelow: () => false,
}
const separate: HostLookup = { ...host, isMountedBelow: () => true }

function configuration(more: Partial<RuntimeConfiguration> = {}): RuntimeConfiguration {
  return {
    ociVersion: '1.0.2',
    process: { cwd: '/', args: ['x'] },
    root: { path: 'rootfs', readonly: true },
    linux: { namespaces: [{ type: 'mount' }] },
    ...more,
  }
}

function ofMount(mount: Omit<Mount, 'destination'>, lookup = host): string[] {
  return rootExposures(configuration({ mounts: [{ destination: '/x', ...mount }] }), places, lookup).map(
    ({ way, reason }) => `${way}: ${reason}`,
  )
}

test('an ordinary configuration lets nothing be written', () => {
  assert.deepEqual(rootExposures(configuration(), places, host), [])
  const capabilities = { bounding: ['CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_LINUX_IMMUTABLE'] }
  const strong = configuration({ process: { cwd: '/', args: ['x'], capabilities } })
  assert.deepEqual(rootExposures(strong, places, host), [])
})

test('CAP_SYS_ADMIN in whatever set leads past a read-only root', () => {
  for (const set of ['bounding', 'effective', 'inheritable', 'permitted', 'ambient']) {
    const capabilities = { [set]: ['CAP_SYS_ADMIN'] }
    const [exposure, ...others] = rootExposures(
      configuration({ process: { cwd: '/', args: ['x'], capabilities } }),
      places,
      host,
    )
    assert.deepEqual([exposure?.way, others], ['root', []])
  }
})

test('the mount namespace of the host, or of another process, leads to the files', () => {
  for (const linux of [{}, { namespaces: [] }, { namespaces: [{ type: 'mount' as const, path: '/proc/1/ns/mnt' }] }]) {
    assert.deepEqual(
      rootExposures(configuration({ linux }), places, host).map(({ way }) => way),
      ['mount'],
    )
  }
})

test('writable mounts of folders that hold the store or deployments, or lie in them, lead to the files', () => {
  for (const source of [
    '/',
    '/var',
    '/var/lib/forerun/containers/x.0/rootfs',
    '/link/forerun',
    'rootfs/etc',
    '/var/lib/..//lib',
  ]) {
    assert.equal(ofMount({ type: 'bind', source }).length, 1, source)
    assert.equal(ofMount({ source, options: ['rbind', 'ro', 'rw'] }).length, 1, source)
    assert.deepEqual(ofMount({ type: 'bind', source, options: ['ro'] }), [], source)
  }
  for (const source of ['/var/lib/forerun2', '/etc', '/var/lib/etcd'])
    assert.deepEqual(ofMount({ type: 'bind', source }), [])
  assert.deepEqual(ofMount({ type: 'tmpfs', source: '/' }), [])
  assert.deepEqual(ofMount({ type: 'bind', source: '/' }), [
    "mount: has '/' mounted writable, where it reaches '/var/lib/forerun/store'",
  ])
})

test('a mount that is read-only without what is mounted below it', () => {
  const source = '/var'
  assert.deepEqual(ofMount({ source, options: ['rbind', 'ro'] }), [])
  assert.equal(ofMount({ source, options: ['rbind', 'ro'] }, separate).length, 1)
  assert.deepEqual(ofMount({ source, options: ['rbind', 'rro'] }, separate), [])
  assert.deepEqual(ofMount({ source, options: ['bind', 'ro'] }, separate), [])
})
