import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildBundle } from '../../packaging/build.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { differences } from '../lab/snapshot.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/**
 * Failure and death at every third change of install, uninstall, update and rollback (`FORERUN_FAULTS=all`: at all), on a real
 * host with the real systemd and runtime: files, units, links and the service's state afterwards equal the start, or the
 * finished end.
 */
let lab: InstalledHost
/** Of the host: the bundle of `fault-main.ts` by the Node that forerun brought. */
const faulty = ['/usr/lib/forerun/node', '/opt/forerun.cjs']
let image: string
let newer: string

before(async () => {
  // An overlay needs another file system than that of the host, which is one itself.
  lab = await installedHost({ settle: 0.5, disks: { '/var/lib/forerun': 'tmpfs' } })
  await buildBundle(join(lab.host.root, 'opt'), { program: 'test/e2e/fault-main.ts' })
  image = await lab.push('full', everything())
  newer = await lab.push('newer/full', other())
  // The host's own folders of forerun, and the image in the store, are a part of every start.
  for (const each of [image, newer]) await lab.must('pull', each)
})
after(async () => {
  process.stdout.write(`crash points: ${points}\n`)
  await lab[Symbol.asyncDispose]()
})

/** Faults that were made. */
let points = 0

/** An image that needs every kind of change; its root is writable. */
function everything() {
  const service = 'Type=exec\n'
  const quick = ['sh', '-c', 'echo x >/written; trap "exit 0" TERM; while :; do sleep 0.05; done']
  return busyboxImage({
    exports: {
      ...serviceExports(quick, { service, readonly: false }),
      // biome-ignore-start lint/suspicious/noTemplateCurlyInString: variables of the image's templates
      'tmpfiles.template': 'd ${STATE_DIRECTORY}/full/deep 0750 0 0 - -\n',
      'manifest.json': { version: '1.0', renameFiles: { '/usr/local/bin/tool': '/usr/local/bin/${NAME}-tool' } },
      // biome-ignore-end lint/suspicious/noTemplateCurlyInString: until here
      hostfs: {
        '/usr/local/bin/tool': '#!/bin/sh\n',
        '/etc/full/conf': 'x',
        '/etc/full/link': { type: 'symlink', target: 'conf' },
      },
    },
  })
}

/** What is there to replace, to remove and to add when `everything` is updated to it. */
function other() {
  const loop = ['sh', '-c', 'echo y >/written; trap "exit 0" TERM; while :; do sleep 0.05; done']
  return busyboxImage({
    exports: {
      ...serviceExports(loop, { service: 'Type=exec\nNice=3\n', readonly: false }),
      'tmpfiles.template': 'd /var/lib/full/other 0700 0 0 - -\n',
      hostfs: {
        '/usr/local/bin/full-tool': '#!/bin/sh\nexit\n',
        '/etc/full/link': { type: 'symlink', target: 'new' },
        '/etc/full/new': 'y',
      },
    },
  })
}

type Phase = 'recorded' | 'applied'
const phases: readonly Phase[] = ['recorded', 'applied']
const verbs = {
  install: () => [image],
  uninstall: () => ['full'],
  update: () => ['full', newer],
  rollback: () => ['full'],
} as const
type Verb = keyof typeof verbs

async function run(action: 'fail' | 'kill' | 'count', verb: Verb, at: { index: number; phase: Phase }) {
  const words = [action, String(at.index), at.phase, verb, ...verbs[verb]()]
  return await lab.host.exec([...faulty, ...words], { check: false })
}

async function countChanges(verb: Verb): Promise<number> {
  const { status, stdout, stderr } = await run('count', verb, { index: -1, phase: 'applied' })
  assert.equal(status, 0, stderr)
  return Number(stdout.trim())
}

/** Everything that a user could tell: files, and what systemd knows of the unit. */
async function state() {
  const properties = ['LoadState', 'ActiveState', 'UnitFileState', 'NeedDaemonReload']
  const units = `full.service ${[0, 1].map((slot) => `var-lib-forerun-containers-full.${slot}-rootfs.mount`).join(' ')}`
  const shown = await lab.shell(
    `systemctl show -p ${properties.join(',')} ${units}; grep -o '^overlay /var/lib/forerun/[^ ]*' /proc/self/mounts || true`,
  )
  const files = lab.host.snapshot({ except: ['/var/lib/forerun/store', '/usr/lib/forerun'] })
  return { files, unit: shown.split('\n').sort() }
}

type State = Awaited<ReturnType<typeof state>>

function assertSame(found: State, wanted: State, message: string): void {
  assert.deepEqual(differences(wanted.files, found.files), [], message)
  assert.deepEqual(found.unit, wanted.unit, message)
}

describe('a fault at any change', () => {
  for (const verb of ['install', 'uninstall', 'update', 'rollback'] as const) {
    it(`of ${verb} leaves the host as it was, and so does a death and the next command`, async () => {
      await begin(verb)
      const total = await countChanges(verb)
      assert.ok(total > 8, `${verb} makes ${total} changes`)
      const end = await state()
      await back(verb)
      const start = await state()
      assert.notDeepEqual(differences(start.files, end.files), [])
      const step = process.env.FORERUN_FAULTS === 'all' ? 1 : 3
      for (let index = step - 1; index < total; index += step) {
        points += 2 * phases.length
        for (const phase of phases) {
          const at = { index, phase }
          const failed = await run('fail', verb, at)
          assert.equal(failed.status, 1, JSON.stringify({ at, failed }))
          assert.match(failed.stderr, /fault at/)
          assertSame(await state(), start, `${verb} that failed at change ${index}, ${phase}`)

          const killed = await run('kill', verb, at)
          assert.equal(killed.status, 137, JSON.stringify({ at, killed }))
          await lab.must('images', 'prune')
          assertSame(await state(), start, `${verb} that was killed at change ${index}, ${phase}`)
        }
      }
    })
  }

  it('is finished by the next command when the death came after the commit', async () => {
    const uninstalled = await ended('uninstall', 'committed')
    assert.equal(uninstalled.unit.includes('LoadState=not-found'), true)
    const installed = await ended('install', 'committed')
    assert.equal(installed.unit.includes('ActiveState=active'), true)
  })
})

/** To where a verb starts, from wherever the one before it has ended. */
async function begin(verb: Verb): Promise<void> {
  await lab.must('containers', 'delete', '--all', '--force')
  if (verb !== 'install') await lab.must('install', image, '--now')
  if (verb === 'rollback') await lab.must('update', '--rebase', newer, 'full')
}

/** From the end of a verb to its start again. */
async function back(verb: Verb): Promise<void> {
  if (verb === 'rollback') await lab.must('rollback', 'full')
  else await begin(verb)
}

/** Dies right after the commit, lets the next command finish, and compares with an undisturbed end. */
async function ended(verb: Verb, event: 'committed'): Promise<State> {
  const killed = await lab.host.exec([...faulty, 'kill', '-1', event, verb, ...verbs[verb]()], { check: false })
  assert.equal(killed.status, 137, killed.stderr)
  await lab.must('images', 'prune')
  const found = await state()
  await back(verb)
  await countChanges(verb)
  assertSame(withoutInfo(found), withoutInfo(await state()), `${verb} that was killed after the commit`)
  return found
}

/** The time and the UUID of an installation are its own, and so is the UUID that the kernel gives to an upper folder. */
function withoutInfo({ files, unit }: State): State {
  const deployment = '/var/lib/forerun/containers/full.0'
  const kept = [...files].filter(([path]) => path !== `${deployment}/info`)
  return { unit, files: new Map(kept.map(([path, line]) => [path, line.replace(/ trusted\.overlay\.uuid=\S+/, '')])) }
}
