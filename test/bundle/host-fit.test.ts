import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fitToHost } from '../../src/bundle/host-fit.ts'
import { parseRuntimeConfiguration } from '../../src/bundle/runtime-configuration.ts'

const labelled = parseRuntimeConfiguration(
  {
    ociVersion: '1.0.2',
    process: {
      cwd: '/',
      args: ['x'],
      selinuxLabel: 'system_u:system_r:container_runtime_t:s0',
      apparmorProfile: 'strict',
      capabilities: { bounding: ['CAP_CHOWN', 'CAP_SYS_TIME'], effective: ['CAP_SYS_TIME', 'CAP_CHOWN'] },
    },
    root: { path: 'rootfs' },
    mounts: [{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['rw', 'rootcontext="a:b:c:s0"'] }],
    linux: { mountLabel: 'system_u:object_r:container_file_t:s0' },
  },
  'config.json',
)
const able = { selinux: true, apparmor: true, capabilities: ['CAP_CHOWN', 'CAP_SYS_TIME'] }

test('a host that has it all gets the configuration as it is', () => {
  assert.deepEqual(fitToHost(labelled, able), { configuration: labelled, notices: [] })
})

test('without SELinux its labels are left out of process, mounts and options, and that is told once', () => {
  const { configuration, notices } = fitToHost(labelled, { ...able, selinux: false })
  assert.equal('selinuxLabel' in configuration.process, false)
  assert.deepEqual([configuration.linux, configuration.mounts?.[0]?.options], [{}, ['rw']])
  assert.deepEqual(notices, [
    'The labels of SELinux are left out of the configuration: it is not in force on this host',
  ])
})

test('without AppArmor the profile is left out, and that is told', () => {
  const { configuration, notices } = fitToHost(labelled, { ...able, apparmor: false })
  assert.equal('apparmorProfile' in configuration.process, false)
  assert.deepEqual(notices, ["The profile 'strict' is left out: AppArmor is not in force on this host"])
})

test('capabilities that the host cannot give are left out of every set, and told', () => {
  const { configuration, notices } = fitToHost(labelled, { ...able, capabilities: ['CAP_CHOWN'] })
  assert.deepEqual(configuration.process.capabilities, { bounding: ['CAP_CHOWN'], effective: ['CAP_CHOWN'] })
  assert.deepEqual(notices, ['This host cannot give CAP_SYS_TIME, which the configuration asks for'])
})

test('empty labels mean nothing, and nothing is told of them', () => {
  const { process } = labelled
  const empty = { ...labelled, process: { ...process, selinuxLabel: '', apparmorProfile: '' }, mounts: [], linux: {} }
  const { configuration, notices } = fitToHost(empty, { ...able, selinux: false, apparmor: false })
  assert.deepEqual([configuration, notices], [empty, []])
})
