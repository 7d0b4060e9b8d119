import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import type { ForerunEvent } from '../../src/events.ts'
import type { Change, ChangeHost } from '../../src/transaction/change.ts'
import { applyChanges, recover } from '../../src/transaction/transaction.ts'
import { scratch } from '../store/scratch.ts'
import { activeUnits, allKinds, fakeHost, listing, prepared } from './fake-host.ts'
import { smallDisk } from './small-disk.ts'

const installNew = { title: 'install new', containers: ['new'] }
const { signal } = new AbortController()

describe('applyChanges', () => {
  it('makes all changes and leaves no journal', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    await applyChanges(installNew, allKinds(host, units), { journal, host: fakeHost(units), signal })
    assert.deepEqual(listing(host), [
      'bin/ 755',
      'bin/tool 755 tool',
      'kept -> kept.1',
      'new -> new.0',
      'new.0/ 755',
      'new.0/file 644 deployment',
      'new/file 644 deployment',
      'state/ 755',
      'state/deep/ 755',
      'units/ 755',
      'units/kept.service 644 second content',
      `units/multi-user.target.wants/ 755`,
      `units/multi-user.target.wants/new.service -> ../new.service`,
      'units/new.service 644 unit',
    ])
    assert.deepEqual(activeUnits(units), ['new.mount'])
    assert.deepEqual(readdirSync(journal), [])
  })

  const count = allKinds('', '').length
  for (const phase of ['recorded', 'applied'] as const) {
    for (let index = 0; index < count; index++) {
      it(`leaves the host as it was when change ${index} fails once ${phase}`, async () => {
        using folder = scratch()
        const { host, units, journal } = prepared(folder.path)
        const before = listing(host)
        const reloads: string[] = []
        const fake: ChangeHost = {
          ...fakeHost(units, (event) => {
            if (event.type === 'change' && event.phase === phase && event.index === index) throw new Error('fault')
          }),
          reload: async () => void reloads.push(listing(host).join()),
        }
        await assert.rejects(applyChanges(installNew, allKinds(host, units), { journal, host: fake, signal }), /fault/)
        assert.deepEqual(listing(host), before)
        assert.deepEqual(activeUnits(units), ['old.mount', 'old.service'])
        assert.deepEqual(readdirSync(journal), [])
        assert.equal(reloads.at(-1), listing(host).join(), 'systemd reads the files that were put back')
      })

      it(`recovers from a death at change ${index} once ${phase}`, async () => {
        using folder = scratch()
        const { host, units, journal } = prepared(folder.path)
        const before = listing(host)
        dieAt(folder.path, { index, phase })
        await recover(journal, fakeHost(units), signal)
        assert.deepEqual(listing(host), before)
        assert.deepEqual(activeUnits(units), ['old.mount', 'old.service'])
        assert.deepEqual(readdirSync(journal), [])
      })
    }
  }

  it('undoes everything when the signal is raised between two changes', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    const before = listing(host)
    const interrupt = new AbortController()
    const fake = fakeHost(units, (event) => {
      if (event.type === 'change' && event.index === 6) interrupt.abort()
    })
    const options = { journal, host: fake, signal: interrupt.signal }
    await assert.rejects(applyChanges(installNew, allKinds(host, units), options), { code: 'interrupted' })
    assert.deepEqual(listing(host), before)
  })

  it('refuses a file that is in the way, and leaves it', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    writeFileSync(join(units, 'new.service'), 'mine')
    const before = listing(host)
    const options = { journal, host: fakeHost(units), signal }
    await assert.rejects(applyChanges(installNew, allKinds(host, units), options), {
      code: 'file-exists',
      message: `The file ${units}/new.service already exists.`,
    })
    assert.deepEqual(listing(host), before)
  })

  it('undoes everything when no room is left for the commit', async () => {
    using full = smallDisk()
    const { host, units, journal } = prepared(full.path)
    const before = listing(host)
    const filler = join(full.path, 'filler')
    const fake = fakeHost(units, (event) => {
      if (event.type !== 'change' || event.phase !== 'applied' || event.index !== count - 1) return
      const { bavail, bsize } = statfsSync(full.path)
      writeFileSync(filler, Buffer.alloc(bavail * bsize))
      // The page of the journal that has been begun has room for some lines more.
      const [name = ''] = readdirSync(journal)
      const used = readFileSync(join(journal, name)).length % bsize
      writeFileSync(join(journal, name), `${' '.repeat(bsize - used - 1)}\n`, { flag: 'a' })
    })
    await assert.rejects(applyChanges(installNew, allKinds(host, units), { journal, host: fake, signal }), {
      code: 'disk-full',
    })
    rmSync(filler)
    assert.deepEqual(listing(host), before)
    assert.deepEqual(readdirSync(journal), [])
  })

  it('keeps the journal when undoing fails, refuses the same container, and the next recovery goes on from it', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    const before = listing(host)
    let broken = true
    const events: ForerunEvent[] = []
    const fake: ChangeHost = {
      ...fakeHost(units, (event) => void events.push(event)),
      async requireLoaded() {
        if (broken) throw new ForerunError('systemd', 'it cannot be loaded')
      },
      async stop() {
        if (broken) throw new ForerunError('systemd', 'no bus')
      },
    }
    const all = allKinds(host, units)
    const isLoad = ({ kind }: Change): boolean => kind === 'load'
    const changes = [
      ...all.filter(({ kind }) => !['unmount', 'stop', 'mount', 'load'].includes(kind)),
      ...all.filter(isLoad),
    ]
    const options = { journal, host: fake, signal }
    await assert.rejects(applyChanges(installNew, changes, options), { message: 'it cannot be loaded' })
    assert.ok(events.some((event) => event.type === 'undo-failed'))
    await assert.rejects(applyChanges(installNew, [], options), { code: 'journal', message: /install new/ })
    await applyChanges({ title: 'install other', containers: ['other'] }, [], options)

    await recover(journal, fake, signal)
    assert.equal(readdirSync(journal).length, 1, 'systemd is still away')
    broken = false
    await recover(journal, fake, signal)
    assert.deepEqual(readdirSync(journal), [])
    assert.deepEqual(listing(host), before)
  })

  it('makes another transaction after one whose cleaning up failed, and cleans up later', async () => {
    using folder = scratch()
    const { units, journal } = prepared(folder.path)
    let broken = true
    const fake: ChangeHost = {
      ...fakeHost(units),
      async removeTmpfiles() {
        if (broken) throw new Error('no such program')
      },
    }
    const options = { journal, host: fake, signal }
    const change: Change = { kind: 'remove-tmpfiles', lines: 'r /x' }
    await applyChanges({ title: 'uninstall a', containers: ['a'] }, [change], options)
    await applyChanges({ title: 'uninstall b', containers: ['b'] }, [change], options)
    assert.equal(readdirSync(journal).length, 2)
    broken = false
    await recover(journal, fake, signal)
    assert.deepEqual(readdirSync(journal), [])
  })

  it('gives up what is left to clean up of a container that is installed again, and tells of it', async () => {
    using folder = scratch()
    const { units, journal } = prepared(folder.path)
    const events: ForerunEvent[] = []
    const fake: ChangeHost = {
      ...fakeHost(units, (event) => void events.push(event)),
      async deleteRuntimeState() {
        throw new Error('the runtime is away')
      },
    }
    const options = { journal, host: fake, signal }
    const stop: Change = { kind: 'stop', unit: 'old.service', container: { name: 'old', runtime: 'runc' } }
    await applyChanges({ title: 'uninstall old', containers: ['old'] }, [stop], options)
    await applyChanges({ title: 'install old', containers: ['old'] }, [], options)
    assert.deepEqual(readdirSync(journal), [])
    assert.ok(events.some((event) => event.type === 'notice' && /uninstall old.*old\.service/.test(event.message)))
  })
})

describe('recover', () => {
  it('finishes what was committed', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    dieAt(folder.path, { index: -1, phase: 'committed' })
    await recover(journal, fakeHost(units), signal)
    assert.ok(
      !listing(host).some((name) => name.includes('.forerun-') || name.includes('old')),
      listing(host).join('\n'),
    )
    assert.deepEqual(readdirSync(journal), [])
  })

  it('drops a torn last line, whose change had not begun', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    mkdirSync(journal)
    const before = listing(host)
    const first = '{"journal":2,"operation":"install x","containers":["x"]}'
    writeFileSync(join(journal, '00000001.jsonl'), `${first}\n{"kind":"remove-fi`)
    await recover(journal, fakeHost(units), signal)
    assert.deepEqual(listing(host), before)
    assert.deepEqual(readdirSync(journal), [])
  })

  for (const [what, name, text] of [
    ['another format', '00000001.jsonl', '{"journal":3,"operation":"install x","containers":["x"]}\n'],
    ['no format', 'transaction.jsonl', '{"operation":"install x"}\n{"kind":"reload","when":"undone"}\n'],
    [
      'an unknown kind',
      '00000001.jsonl',
      '{"journal":2,"operation":"install x","containers":["x"]}\n{"kind":"fold","path":"/x"}\n',
    ],
  ] as const) {
    it(`refuses a journal of ${what}, and leaves everything as it is`, async () => {
      using folder = scratch()
      const { host, units, journal } = prepared(folder.path)
      const before = listing(host)
      mkdirSync(journal)
      writeFileSync(join(journal, name), text)
      await assert.rejects(recover(journal, fakeHost(units), signal), { code: 'journal', message: /install x/ })
      assert.deepEqual(listing(host), before)
      assert.deepEqual(readdirSync(journal), [name])
    })
  }

  it('keeps a file that was modified after it was written', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    dieAt(folder.path, { index: 4, phase: 'applied' })
    writeFileSync(join(host, 'bin', 'tool'), 'edited')
    await recover(journal, fakeHost(units), signal)
    assert.equal(readFileSync(join(host, 'bin', 'tool'), 'utf8'), 'edited')
  })
})

/** Runs the changes in a process that kills itself at a point. */
function dieAt(folder: string, point: { index: number; phase: 'recorded' | 'applied' | 'committed' }): void {
  const words = [join(import.meta.dirname, 'dying.ts'), folder, String(point.index), point.phase]
  const { signal: killer, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  assert.equal(killer, 'SIGKILL', stderr)
}
