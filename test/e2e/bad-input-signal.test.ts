import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Snapshot } from '../lab/snapshot.ts'
import { differences } from '../lab/snapshot.ts'
import { assertComplaint, assertNothingUnfinished, impatientHost, serviceWith } from './bad-input.ts'
import type { InstalledHost } from './installed-host.ts'

/** Ctrl-C, SIGTERM and SIGHUP at moments spread over install and uninstall: each leaves the start or the finished end. */
let lab: InstalledHost
let image: string
let without: Snapshot
let installed: Snapshot
/** Seconds that each takes undisturbed. */
const duration = { install: 0, uninstall: 0 }

before(async () => {
  lab = await impatientHost()
  image = await lab.push(
    'signal/app',
    serviceWith({
      'tmpfiles.template': 'd /var/lib/$NAME/deep 0755 0 0 - -\n',
      hostfs: { '/usr/local/bin/tool': '#!/bin/sh\n', '/etc/app/conf': 'x' },
    }),
  )
  without = lab.files()
  await timed('install')
  installed = lab.files()
  await timed('uninstall')
  assert.deepEqual(differences(without, lab.files()), [])
})
after(() => lab[Symbol.asyncDispose]())

const words = { install: () => ['install', '--now', image], uninstall: () => ['uninstall', 'app'] }

async function timed(verb: 'install' | 'uninstall'): Promise<void> {
  const start = performance.now()
  await lab.must(...words[verb]())
  duration[verb] = (performance.now() - start) / 1000
}

const rounds = 16
const signals = ['INT', 'TERM', 'INT', 'HUP'] as const

for (const verb of ['install', 'uninstall'] as const) {
  test(`a signal at any moment of ${verb} leaves the start or the end`, async () => {
    const [start, end] = verb === 'install' ? [without, installed] : [installed, without]
    const outcomes = { start: 0, end: 0 }
    for (let round = 0; round < rounds; round++) {
      if (verb === 'install') await lab.forerun('images', 'delete', '--force', image)
      else await lab.must('install', '--now', image)
      const moment = (duration[verb] * (round + Math.random())) / rounds
      const signal = signals[round % signals.length]
      // As a terminal does, timeout(1) signals the children, too.
      const argv = [
        'timeout',
        '--preserve-status',
        '-s',
        `${signal}`,
        moment.toFixed(3),
        'forerun',
        ...words[verb](),
        '--json',
      ]
      const result = await lab.host.exec(argv, { check: false })
      const about = `${signal} after ${moment.toFixed(3)} s: status ${result.status}\n${result.stdout}${result.stderr}`
      const reached = result.status === 0 ? 'end' : 'start'
      outcomes[reached] += 1
      assert.deepEqual(differences(reached === 'end' ? end : start, lab.files()), [], about)
      assertNothingUnfinished(lab)
      // Before there is anything to put back, a signal ends the process by itself.
      if (reached === 'start' && result.stdout !== '')
        assertComplaint(result, { code: 'interrupted', message: /interrupted/ })
      const isInstalled = (reached === 'end') === (verb === 'install')
      assert.equal(await lab.property('app.service', 'ActiveState'), isInstalled ? 'active' : 'inactive', about)
      if (isInstalled) await lab.must('uninstall', 'app')
    }
    assert.ok(outcomes.start > 0, 'no signal came in time')
    assert.deepEqual(differences(without, lab.files()), [])
  })
}

test('a signal that comes when a command that changes things has printed its result does not change its status', async () => {
  const prune = ['forerun', 'images', 'prune', '--json']
  const start = performance.now()
  await lab.host.exec(prune)
  const duration = (performance.now() - start) / 1000
  let printed = 0
  for (let round = 0; round < 60; round++) {
    // From the middle of its run to shortly after its end.
    const moment = (duration * (0.5 + (0.6 * round) / 60)).toFixed(3)
    const argv = ['timeout', '--preserve-status', '-s', 'HUP', moment, ...prune]
    const result = await lab.host.exec(argv, { check: false })
    if (result.stdout === '' || result.stdout.includes('interrupted')) continue
    printed++
    assert.equal(result.status, 0, `after ${moment} s`)
  }
  assert.ok(printed > 0, 'every signal came before the result')
})
