import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { FileDifference } from '../../src/operations/containers/diff-container.ts'
import type { ContainerInspection } from '../../src/operations/containers/inspect-container.ts'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import { busyboxImage, type Exports, serviceExports } from '../lab/busybox.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** Looking at a container, and into it: info, diff, logs, and commands in it. Each test goes on where the one before it ended. */
let lab: InstalledHost

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  const loop = ['sh', '-c', 'echo said $$SECRET; trap "exit 0" TERM; sleep infinity & wait']
  const exports = (content: string): Exports => ({
    ...serviceExports(loop, { env: ['SECRET=$SECRET', 'WORD=$WORD'] }),
    'manifest.json': { version: '1.0', defaultValues: { WORD: 'one' } },
    hostfs: { '/etc/app/conf': `first line\n${content}\n`, '/etc/app/gone': 'gone\n' },
  })
  const push = (version: number, content: string) =>
    lab.push('app', busyboxImage({ layers: [{ version: `${version}\n` }], exports: exports(content) }))
  await lab.shell('echo hush >/srv/secret')
  await lab.must('install', '--now', '--set-file', 'SECRET=/srv/secret', await push(1, 'one'))
  await push(2, 'two')
  await lab.must('update', 'app')
})

after(() => lab[Symbol.asyncDispose]())

test('info tells all of a container, and no secret', async () => {
  await lab.shell('echo mine >>/etc/app/conf; rm /etc/app/gone')
  const { json, stdout } = await lab.must<ContainerInspection>('containers', 'info', '--json', 'app')
  assert.deepEqual(
    [json.container, json.state, json.unitFileState, json.folder, json.other?.folder, json.checkout],
    ['app', 'running', 'enabled', '/var/lib/forerun/containers/app.1', '/var/lib/forerun/containers/app.0', 'auto'],
  )
  assert.match(json.digest, /^sha256:[0-9a-f]{64}$/)
  assert.notEqual(json.imageId, json.other?.imageId)
  assert.ok(Math.abs(json.since - Date.now() / 1000) < 60)
  assert.deepEqual([json.values.SECRET, json.values.WORD], [null, 'one'])
  assert.doesNotMatch(stdout, /hush/)
  const states = Object.fromEntries(json.files.map(({ path, state }) => [path, state]))
  assert.deepEqual(
    [states['/etc/app/conf'], states['/etc/app/gone'], states['/etc/systemd/system/app.service']],
    ['modified', 'missing', 'as installed'],
  )
  const text = (await lab.must('containers', 'info', 'app')).stdout
  assert.match(text, /^State: +running, /m)
  assert.match(text, /^ {2}SECRET=\(secret\)$/m)
  assert.match(text, /^ {2}\/etc\/app\/conf +host +modified$/m)
  assert.doesNotMatch(text, /hush/)
})

test('the list of all has a line for what a rollback goes to', async () => {
  const { json } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  assert.equal(json[0]?.other?.folder, '/var/lib/forerun/containers/app.0')
  const { stdout } = await lab.must('containers', 'list', '--all')
  assert.match(stdout, /^app {2}.*running.*\napp\.0 .* for rollback /m)
  assert.equal((await lab.must('containers', 'list', '--all', '--quiet')).stdout, 'app\n')
})

test('diff shows what was changed on the host', async () => {
  const { stdout } = await lab.must('containers', 'diff', 'app')
  assert.match(stdout, /^--- \/etc\/app\/conf \(deployment\)\n\+\+\+ \/etc\/app\/conf\n/m)
  assert.match(stdout, /^ two\n\+mine$/m)
  assert.match(stdout, /^missing: \/etc\/app\/gone$/m)
  const { json } = await lab.must<FileDifference[]>('containers', 'diff', '--json', 'app')
  assert.deepEqual(
    json.map(({ path, state }) => `${path} ${state}`),
    ['/etc/app/conf modified', '/etc/app/gone missing'],
  )
  await lab.shell('sed -i "$ d" /etc/app/conf; echo gone >/etc/app/gone')
  assert.equal((await lab.must('containers', 'diff', 'app')).stdout, '')
})

test('logs shows what the container wrote, by journalctl with its options', async () => {
  const { stdout } = await lab.must('logs', 'app', '--output=cat', '--lines=50', '--no-pager')
  assert.match(stdout, /^said hush$/m)
  const refused = await lab.forerun('logs', 'app', '--no-such-option')
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /no-such-option/)
})

test('a command runs in the container, with its own options, input, exit status, and a terminal where there is one', async () => {
  assert.equal((await lab.must('run', 'app', 'cat', '/version')).stdout, '2\n')
  assert.equal((await lab.forerun('run', 'app', 'sh', '-c', 'echo out; echo err >&2; exit 7')).status, 7)
  assert.equal(await lab.shell('echo given | forerun run app cat'), 'given')
  assert.match(await lab.shell("script -qec 'forerun run app tty' /dev/null"), /\/dev\/pts\/\d+/)
  assert.match(await lab.shell('forerun run app sh -c "tty || true"'), /not a tty/)
  const killed = await lab.shell('timeout --preserve-status -s TERM 1 forerun run app sleep 60; echo $?')
  assert.notEqual(killed, '0')
  assert.equal(await lab.inside('app', 'sh', '-c', 'ps | grep -c "[s]leep 60" || true'), '0\n')
  const absent = await lab.forerun('run', 'app', 'no-such-program')
  assert.notEqual(absent.status, 0)
  await lab.must('stop', 'app')
  assert.equal((await lab.must('run', 'app', 'sh', '-c', 'cat /version; echo $SECRET')).stdout, '2\nhush\n')
})
