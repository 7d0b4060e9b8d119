import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import type { ForerunEvent } from '../../src/events.ts'
import type { ChangeHost } from '../../src/transaction/change.ts'
import { removeFile } from '../../src/transaction/files.ts'
import { readJournal } from '../../src/transaction/journal.ts'
import { applyChanges, recover } from '../../src/transaction/transaction.ts'
import { scratch } from '../store/scratch.ts'
import { activeUnits, allKinds, fakeHost, listing, prepared } from './fake-host.ts'

describe('applyChanges', () => {
  it('makes all changes and leaves no journal', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    const fake = fakeHost(units)
    const signal = new AbortController().signal
    await applyChanges('install new', allKinds(host, units), { journal, host: fake, signal })
    assert.deepEqual(listing(host), [
      'bin/ 755',
      'bin/tool 755 tool',
      'new -> new.0',
      'new.0/ 755',
      'new.0/file 644 deployment',
      'new/file 644 deployment',
      'state/ 755',
      'state/deep/ 755',
      'units/ 755',
      `units/multi-user.target.wants/ 755`,
      `units/multi-user.target.wants/new.service -> ${units}/new.service`,
      'units/new.service 644 unit',
    ])
    assert.deepEqual(activeUnits(units), ['new.mount', 'new.service'])
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
        const applying = applyChanges('install new', allKinds(host, units), {
          journal,
          host: fake,
          signal: new AbortController().signal,
        })
        await assert.rejects(applying, /fault/)
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
        await recover(journal, fakeHost(units), new AbortController().signal)
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
    await assert.rejects(applyChanges('install new', allKinds(host, units), options), { code: 'interrupted' })
    assert.deepEqual(listing(host), before)
  })

  it('refuses a file that is in the way, and leaves it', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    writeFileSync(join(units, 'new.service'), 'mine')
    const before = listing(host)
    const options = { journal, host: fakeHost(units), signal: new AbortController().signal }
    await assert.rejects(applyChanges('install new', allKinds(host, units), options), {
      code: 'file-exists',
      message: `The file ${units}/new.service already exists.`,
    })
    assert.deepEqual(listing(host), before)
  })

  it('keeps the journal when undoing fails, and the next recovery goes on from it', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    const before = listing(host)
    let broken = true
    const events: ForerunEvent[] = []
    const fake: ChangeHost = {
      ...fakeHost(units, (event) => void events.push(event)),
      async start() {
        throw new ForerunError('systemd', 'it does not start')
      },
      async stop() {
        if (broken) throw new ForerunError('systemd', 'no bus')
      },
    }
    const changes = allKinds(host, units).filter((_, index) => index !== 9 && index !== 10)
    const options = { journal, host: fake, signal: new AbortController().signal }
    await assert.rejects(applyChanges('install new', changes, options), { message: 'it does not start' })
    assert.ok(events.some((event) => event.type === 'undo-failed'))
    assert.equal(readJournal(journal)?.committed, false)
    broken = false
    await recover(journal, fake, new AbortController().signal)
    assert.equal(readJournal(journal), undefined)
    assert.deepEqual(listing(host), before)
  })
})

describe('recover', () => {
  it('finishes what was committed', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    const fake = fakeHost(units)
    const change = removeFile(join(units, 'old.service'))
    const record = await change.prepare(fake)
    await change.apply(fake)
    mkdirSync(journal)
    writeFileSync(
      join(journal, 'transaction.jsonl'),
      `{"operation":"uninstall old"}\n${JSON.stringify(record)}\n{"committed":true}\n`,
    )
    await recover(journal, fake, new AbortController().signal)
    assert.ok(!listing(host).some((name) => name.includes('old.service') && !name.includes('wants')))
  })

  it('drops a torn last line, whose change had not begun', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    mkdirSync(journal)
    const before = listing(host)
    writeFileSync(join(journal, 'transaction.jsonl'), '{"operation":"install x"}\n{"kind":"remove-fi')
    await recover(journal, fakeHost(units), new AbortController().signal)
    assert.deepEqual(listing(host), before)
    assert.deepEqual(readdirSync(journal), [])
  })

  it('keeps a file that was modified after it was written', async () => {
    using folder = scratch()
    const { host, units, journal } = prepared(folder.path)
    dieAt(folder.path, { index: 4, phase: 'applied' })
    writeFileSync(join(host, 'bin', 'tool'), 'edited')
    await recover(journal, fakeHost(units), new AbortController().signal)
    assert.equal(readFileSync(join(host, 'bin', 'tool'), 'utf8'), 'edited')
  })
})

/** Runs the changes in a process that kills itself at a point. */
function dieAt(folder: string, point: { index: number; phase: 'recorded' | 'applied' }): void {
  const words = [join(import.meta.dirname, 'dying.ts'), folder, String(point.index), point.phase]
  const { signal, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  assert.equal(signal, 'SIGKILL', stderr)
}
