import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { oneOffConfiguration, requireSources } from '../../src/bundle/one-off.ts'
import type { RuntimeConfiguration } from '../../src/bundle/runtime-schema.ts'
import { ForerunError } from '../../src/errors.ts'

const service: RuntimeConfiguration = {
  ociVersion: '1.0.2',
  process: { args: ['etcd'], cwd: '/', env: ['A=b', 'NOTIFY_SOCKET=/run/systemd/notify'] },
  root: { path: 'rootfs', readonly: true },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/run/systemd/notify', type: 'bind', source: '/run/systemd/notify', options: ['bind', 'ro'] },
    { destination: '/own', type: 'bind', source: 'rootfs/etc', options: ['bind'] },
    { destination: '/data', type: 'none', source: '/srv/data', options: ['rbind'] },
  ],
  linux: { cgroupsPath: '/system.slice/etcd.service/payload' },
}
const wish = { words: [], terminal: undefined, cgroup: '/system.slice/x.scope', folder: '/var/lib/c/etcd.0' }

describe('the configuration of a container for one command', () => {
  it('has the command, absolute paths, a control group of its own and no socket of the service', () => {
    const { process, root, mounts, linux } = oneOffConfiguration(service, { ...wish, words: ['sh', '-c', 'true'] })
    assert.deepEqual(process, { args: ['sh', '-c', 'true'], cwd: '/', env: ['A=b'], terminal: false })
    assert.deepEqual(root, { path: '/var/lib/c/etcd.0/rootfs', readonly: true })
    assert.deepEqual(
      mounts?.map(({ source }) => source),
      ['proc', '/var/lib/c/etcd.0/rootfs/etc', '/srv/data'],
    )
    assert.equal(linux?.cgroupsPath, '/system.slice/x.scope/payload')
  })

  it('keeps its own command, and the tree of --rootfs', () => {
    const tree = { ...service, root: { path: '/srv/tree' } }
    const { process, root } = oneOffConfiguration(tree, wish)
    assert.deepEqual([process.args, root.path], [['etcd'], '/srv/tree'])
  })

  it('has the terminal with its size, and its kind where the image names none', () => {
    const terminal = { name: 'vt220', width: 99, height: 33 }
    const { process } = oneOffConfiguration(service, { ...wish, terminal })
    assert.deepEqual([process.terminal, process.consoleSize], [true, { height: 33, width: 99 }])
    assert.deepEqual(process.env, ['A=b', 'TERM=vt220'])
    const named = { ...service, process: { ...service.process, env: ['TERM=dumb'] } }
    assert.deepEqual(oneOffConfiguration(named, { ...wish, terminal }).process.env, ['TERM=dumb'])
  })
})

describe('sources of bind mounts', () => {
  it('have to be there, with those of other mounts left alone', () => {
    const present = (path: string): boolean => path !== '/srv/data'
    assert.throws(
      () => requireSources(service, { exists: present, hint: 'Make it.' }),
      (error) => error instanceof ForerunError && /^'\/srv\/data' is not there/.test(error.message),
    )
    requireSources(service, { exists: () => true, hint: '' })
  })
})
