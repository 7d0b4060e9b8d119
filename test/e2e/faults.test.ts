import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildBundle } from '../../packaging/build.ts'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { random } from '../lab/random.ts'
import { differences } from '../lab/snapshot.ts'
import { type InstalledHost, installedHost, until } from './installed-host.ts'

/**
 * Failure and death at changes of install, uninstall, update and rollback, at a sample by a fixed seed (`FORERUN_FAULTS=all`: at all), on a
 * real host with the real systemd and runtime: files, units, links and the service's state afterwards equal the start, or
 * the finished end. Deaths are followed by the next command, or by a power cut and a boot.
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
  process.stdout.write(`crash points: ${points}, half-done: ${halfDone.length}\n`)
  await lab[Symbol.asyncDispose]()
})

/** Faults that were made, and those after which the host was neither as before nor as after. */
let points = 0
const halfDone: string[] = []

const seed = Number(process.env.FORERUN_FAULT_SEED ?? 1)
assert.ok(Number.isSafeInteger(seed), 'FORERUN_FAULT_SEED is a whole number')
const chances = random(seed)

/** Whether a point belongs to the sample. */
function isTried(probability: number): boolean {
  return process.env.FORERUN_FAULTS === 'all' || chances.chance(probability)
}

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

type Phase = 'recorded' | 'applied' | 'on-trial' | 'started'
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
  const mounts = [0, 1].map((slot) => `var-lib-forerun-containers-full.${slot}-rootfs.mount`)
  // What systemd remembers of a mount that is gone depends on when it was reloaded last.
  const shown = await lab.shell(
    `systemctl show -p LoadState,ActiveState,UnitFileState,NeedDaemonReload full; systemctl show -p ActiveState ${mounts.join(' ')}; grep -o '^overlay /var/lib/forerun/[^ ]*' /proc/self/mounts || true`,
  )
  const files = lab.host.snapshot({ except: ['/var/lib/forerun/store', '/usr/lib/forerun'] })
  return { files, unit: shown.split('\n').sort() }
}

type State = Awaited<ReturnType<typeof state>>

function assertSame(found: State, wanted: State, message: string): void {
  points += 1
  try {
    assert.deepEqual(differences(wanted.files, found.files), [], message)
    assert.deepEqual(found.unit, wanted.unit, message)
  } catch (error) {
    halfDone.push(message)
    throw error
  }
}

describe('a fault', () => {
  for (const verb of ['install', 'uninstall', 'update', 'rollback'] as const) {
    it(`at any change of ${verb} leaves the host as it was, and so does a death and the next command, or a boot`, async () => {
      await begin(verb)
      const total = await countChanges(verb)
      assert.ok(total > 8, `${verb} makes ${total} changes`)
      const end = await state()
      await back(verb)
      const start = await state()
      assert.notDeepEqual(differences(start.files, end.files), [])
      for (let index = 0; index < total; index++) {
        for (const phase of phases) {
          const at = { index, phase }
          if (isTried(0.25)) {
            const failed = await run('fail', verb, at)
            assert.equal(failed.status, 1, JSON.stringify({ at, failed }))
            assert.match(failed.stderr, /fault at/)
            assertSame(await state(), start, `${verb} that failed at change ${index}, ${phase}`)
          }
          if (isTried(0.25)) {
            await killedAt(verb, at)
            await lab.must('images', 'prune')
            assertSame(await state(), start, `${verb} that was killed at change ${index}, ${phase}`)
          }
          if (isTried(0.04)) {
            await killedAt(verb, at)
            await bootAgain()
            assertSame(await state(), start, `${verb} that was cut off at change ${index}, ${phase}, after a boot`)
          }
        }
      }
    })
  }

  for (const verb of ['install', 'update', 'rollback'] as const) {
    it(`while what ${verb} brought is on trial leaves the one state or the other`, async () => {
      await begin(verb)
      const start = await state()
      // Nothing has been started yet with what is new.
      await killedAt(verb, { index: -1, phase: 'on-trial' })
      await lab.must('images', 'prune')
      assertSame(await state(), start, `${verb} that was killed before the start`)

      await killedAt(verb, { index: -1, phase: 'on-trial' })
      await bootAgain()
      const booted = await state()
      await begin(verb)
      await countChanges(verb)
      assertSame(
        withoutInfo(booted),
        withoutInfo(await state()),
        `${verb} that was cut off before the start, after a boot`,
      )

      await begin(verb)
      await killedAt(verb, { index: -1, phase: 'started' })
      await lab.must('recover')
      const judged = await state()
      await begin(verb)
      await countChanges(verb)
      assertSame(withoutInfo(judged), withoutInfo(await state()), `${verb} that was killed after the start`)
    })
  }

  it('after the commit is no fault: the next command finishes', async () => {
    const uninstalled = await ended('uninstall', 'committed')
    assert.equal(uninstalled.unit.includes('LoadState=not-found'), true)
    const installed = await ended('install', 'committed')
    assert.equal(installed.unit.includes('ActiveState=active'), true)
  })

  it('at any change of several containers at once leaves each of them whole or gone', async () => {
    await begin('uninstall')
    await lab.must('install', '--name', 'second', image)
    const lines = ['full', 'second']
    const listed = async (): Promise<string[]> => {
      const { json } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
      return json.map(({ container, state }) => `${container} ${state}`)
    }
    for (let index = 0; index < 20; index++) {
      if (!isTried(0.2)) continue
      const words = ['kill', String(index), 'applied', 'delete', ...lines]
      const { status } = await lab.host.exec([...faulty, ...words], { check: false })
      assert.equal(status, 137)
      await lab.must('images', 'prune')
      points += 1
      assert.deepEqual(await listed(), ['full running', 'second inactive'], `killed at change ${index}`)
    }
  })
})

async function killedAt(verb: Verb, at: { index: number; phase: Phase }): Promise<void> {
  const killed = await run('kill', verb, at)
  assert.equal(killed.status, 137, JSON.stringify({ verb, at, killed }))
}

/** Without a command of forerun but the one that the boot calls where it has to. */
async function bootAgain(): Promise<void> {
  await lab.host.kill()
  await lab.host.boot()
  await until(
    'the boot has ended',
    async () => !(await lab.shell('systemctl list-jobs --no-legend')).includes('forerun'),
    {
      seconds: 60,
    },
  )
}

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
  const isInfo = (path: string): boolean => /^\/var\/lib\/forerun\/containers\/full\.[01]\/info$/.test(path)
  const kept = [...files].filter(([path]) => !isInfo(path))
  return { unit, files: new Map(kept.map(([path, line]) => [path, line.replace(/ trusted\.overlay\.uuid=\S+/, '')])) }
}
