import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Deployment,
  deploymentValues,
  forcedVariables,
  parseAssignments,
  unitFollowsPidFile,
} from '../../src/bundle/values.ts'

const deployment: Deployment = {
  name: 'etcd',
  destination: '/var/lib/forerun/containers/etcd.0',
  imageId: 'sha256:1',
  imageName: 'registry.example/etcd:3.5',
  runtime: '/usr/bin/runc',
  program: '/usr/bin/forerun',
  uuid: '7a4e',
  capabilities: ['CAP_CHOWN', 'CAP_DAC_OVERRIDE'],
}
const none: ReadonlyMap<string, string> = new Map()

test('every documented variable has a value', () => {
  const values = deploymentValues(deployment, { assignments: none, defaults: none, detached: false })
  assert.deepEqual(Object.fromEntries(values), {
    ALL_PROCESS_CAPABILITIES: '"CAP_CHOWN", "CAP_DAC_OVERRIDE"',
    ATOMIC: '/usr/bin/forerun',
    CONF_DIRECTORY: '/etc',
    DESTDIR: '/var/lib/forerun/containers/etcd.0',
    EXEC_START: '/usr/bin/runc run etcd',
    EXEC_STARTPRE: '',
    EXEC_STOP: '/usr/bin/runc kill etcd',
    EXEC_STOPPOST: '',
    HOST_GID: '0',
    HOST_UID: '0',
    IMAGE_ID: 'sha256:1',
    IMAGE_NAME: 'registry.example/etcd:3.5',
    NAME: 'etcd',
    PIDFILE: '/run/container-etcd.pid',
    RUNTIME: '/usr/bin/runc',
    RUN_DIRECTORY: '/run',
    STATE_DIRECTORY: '/var/lib',
    UUID: '7a4e',
  })
})

test('a unit that follows the pid file gets a runtime that leaves, and deletes what it left', () => {
  assert.equal(unitFollowsPidFile(['EXEC_START', 'PIDFILE', 'EXEC_STOPPOST']), true)
  assert.equal(unitFollowsPidFile(['EXEC_START', 'PIDFILE']), false)
  assert.equal(unitFollowsPidFile(['EXEC_STOPPOST']), false)
  const assignments = new Map([['PIDFILE', '/run/my etcd.pid']])
  const values = deploymentValues(deployment, { assignments, defaults: none, detached: true })
  assert.equal(values.get('EXEC_START'), '/usr/bin/runc run --detach --pid-file "/run/my etcd.pid" etcd')
  assert.equal(values.get('EXEC_STOPPOST'), '/usr/bin/runc delete --force etcd')
})

test('forced values win over --set, that over the defaults of the image, and those over what is built in', () => {
  const values = deploymentValues(deployment, {
    assignments: new Map([
      ['PORT', 'set'],
      ['UUID', 'set'],
    ]),
    defaults: new Map([
      ['PORT', 'default'],
      ['UUID', 'default'],
      ['STATE_DIRECTORY', '/data'],
      ['NAME', 'default'],
      ['PEER', '$NAME'],
    ]),
    detached: false,
  })
  assert.equal(values.get('PORT'), 'set')
  assert.equal(values.get('UUID'), 'set')
  assert.equal(values.get('STATE_DIRECTORY'), '/data')
  assert.equal(values.get('NAME'), 'etcd')
  assert.equal(values.get('PEER'), '$NAME')
})

test('the pid file lies in the run directory, however that was set', () => {
  for (const source of ['assignments', 'defaults'] as const) {
    const given = {
      assignments: none,
      defaults: none,
      detached: false,
      [source]: new Map([['RUN_DIRECTORY', '/srv/run']]),
    }
    assert.equal(deploymentValues(deployment, given).get('PIDFILE'), '/srv/run/container-etcd.pid')
  }
})

test('an assignment is split at its first equals sign, and the last one of a variable counts', () => {
  const assignments = parseAssignments(['A=1', 'URL=http://x/?a=b', 'EMPTY=', 'A=2'])
  assert.deepEqual(
    [...assignments],
    [
      ['A', '2'],
      ['URL', 'http://x/?a=b'],
      ['EMPTY', ''],
    ],
  )
})

for (const [word, message] of [
  ['PORT', "'PORT' sets no variable: it has no '='"],
  ['=5', "'=5' names no variable"],
  ['1A=5', "'1A' is not a name for a variable"],
  ['A B=5', "'A B' is not a name for a variable"],
  ['Ä=5', "'Ä' is not a name for a variable"],
  ['A=\0', "The value of 'A' has a NUL byte"],
] as const) {
  test(`--set ${JSON.stringify(word)} is refused`, () => {
    assert.throws(() => parseAssignments([word]), { code: 'variable', message })
  })
}

test('--set of each forced variable is refused by its name', () => {
  assert.equal(forcedVariables.length, 10)
  for (const name of forcedVariables) {
    assert.throws(() => parseAssignments(['A=1', `${name}=x`]), { code: 'variable', message: new RegExp(`'${name}'`) })
  }
})
