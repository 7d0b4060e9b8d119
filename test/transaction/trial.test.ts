import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { ForerunEvent } from '../../src/events.ts'
import type { ChangeHost } from '../../src/transaction/change.ts'
import {
  abandonedTrials,
  applyChanges,
  applyOnTrial,
  type OpenTrial,
  readTrials,
  recover,
} from '../../src/transaction/transaction.ts'
import type { Trial } from '../../src/transaction/trial.ts'
import { scratch } from '../store/scratch.ts'
import { activeUnits, allKinds, fakeHost, listing, prepared } from './fake-host.ts'
import { smallDisk } from './small-disk.ts'

const updateNew = { title: 'update new', containers: ['new'] }
const { signal } = new AbortController()

const trial: Trial = {
  container: 'new',
  unit: 'new.service',
  since: 1,
  boot: 'b',
  awaits: 'start',
  settle: 1000,
  invocation: '',
  dependants: [],
}

type Place = ReturnType<typeof prepared>

function begin({ host, units, journal }: Place, fake: ChangeHost = fakeHost(units)): Promise<OpenTrial> {
  return applyOnTrial(updateNew, allKinds(host, units), { journal, host: fake, signal, trial })
}

describe('a transaction on trial', () => {
  it('keeps, when it is taken back, what other containers came to share meanwhile', async () => {
    using folder = scratch()
    const place = prepared(folder.path)
    const path = join(place.host, 'units/new.service')
    const others: ChangeHost = { ...fakeHost(place.units), isOthers: (each) => each === path }
    using open = await begin(place, others)
    assert.ok(await open.takeBack())
    assert.equal(readFileSync(path, 'utf8'), 'unit')
  })

  it('has made its changes, and is neither finished nor undone by others while its process lives', async () => {
    using folder = scratch()
    const place = prepared(folder.path)
    using open = await begin(place)
    const made = listing(place.host)
    assert.ok(made.includes('units/new.service 644 unit'))
    await recover(place.journal, fakeHost(place.units), signal)
    assert.deepEqual(abandonedTrials(place.journal, fakeHost(place.units)), [])
    assert.deepEqual(
      readTrials(place.journal).map((each) => each.trial.container),
      ['new'],
    )
    assert.deepEqual(listing(place.host), made)
    assert.equal(open.trial.unit, 'new.service')
  })

  it('lets other containers be changed meanwhile, and not its own', async () => {
    using folder = scratch()
    const place = prepared(folder.path)
    using _open = await begin(place)
    const options = { journal: place.journal, host: fakeHost(place.units), signal }
    await applyChanges({ title: 'install other', containers: ['other'] }, [], options)
    await assert.rejects(applyChanges({ title: 'uninstall new', containers: ['new'] }, [], options), {
      code: 'journal',
      message: /update new/,
    })
  })

  it('is the end of an undisturbed transaction once it is confirmed', async () => {
    using whole = scratch()
    const undisturbed = prepared(whole.path)
    const options = { journal: undisturbed.journal, host: fakeHost(undisturbed.units), signal }
    await applyChanges(updateNew, allKinds(undisturbed.host, undisturbed.units), options)
    using folder = scratch()
    const place = prepared(folder.path)
    using open = await begin(place)
    await open.confirm()
    assert.deepEqual(listing(place.host), listing(undisturbed.host))
    assert.deepEqual(readdirSync(place.journal), [])
  })

  it('leaves the host as it was once it is taken back', async () => {
    using folder = scratch()
    const place = prepared(folder.path)
    const before = listing(place.host)
    using open = await begin(place)
    assert.equal(await open.takeBack(), true)
    assert.deepEqual(listing(place.host), before)
    assert.deepEqual(activeUnits(place.units), ['old.mount', 'old.service'])
    assert.deepEqual(readdirSync(place.journal), [])
  })

  for (const end of ['confirm', 'takeBack'] as const) {
    it(`is ended by another process when its own is gone: ${end}`, async () => {
      using folder = scratch()
      const place = prepared(folder.path)
      const before = listing(place.host)
      const own = await begin(place)
      // As the kernel does for a process that is killed.
      own[Symbol.dispose]()
      const [open] = abandonedTrials(place.journal, fakeHost(place.units))
      assert.ok(open)
      using _open = open
      assert.deepEqual(open.operation, updateNew)
      await open[end]()
      if (end === 'takeBack') assert.deepEqual(listing(place.host), before)
      else assert.ok(listing(place.host).includes('new -> new.0'))
      assert.deepEqual(readdirSync(place.journal), [])
    })
  }

  it('is undone by the next recovery, and not judged again, where taking it back was cut short', async () => {
    using folder = scratch()
    const place = prepared(folder.path)
    const before = listing(place.host)
    let broken = true
    const fake: ChangeHost = {
      ...fakeHost(place.units),
      async stop() {
        if (broken) throw new Error('no bus')
      },
    }
    using open = await begin(place, { ...fakeHost(place.units) })
    open[Symbol.dispose]()
    const [again] = abandonedTrials(place.journal, fake)
    assert.equal(await again?.takeBack(), false)
    again?.[Symbol.dispose]()
    assert.deepEqual(readTrials(place.journal), [])
    broken = false
    await recover(place.journal, fakeHost(place.units), signal)
    assert.deepEqual(listing(place.host), before)
  })

  it('is taken back on a disk that has become full, and where its end cannot be written', async () => {
    for (const end of ['takeBack', 'confirm'] as const) {
      using full = smallDisk()
      const place = prepared(full.path)
      const before = listing(place.host)
      using open = await begin(place)
      const { bavail, bsize } = statfsSync(full.path)
      writeFileSync(join(full.path, 'filler'), Buffer.alloc(bavail * bsize))
      const [name = ''] = readdirSync(place.journal)
      const used = readFileSync(join(place.journal, name)).length % bsize
      writeFileSync(join(place.journal, name), `${' '.repeat(bsize - used - 1)}\n`, { flag: 'a' })
      if (end === 'takeBack') assert.equal(await open.takeBack(), true)
      else await assert.rejects(open.confirm(), { code: 'ENOSPC' })
      assert.deepEqual(listing(place.host), before, end)
      assert.deepEqual(readdirSync(place.journal), [])
    }
  })

  it('has the next boot look after it as long as it is open', async () => {
    using folder = scratch()
    const place = prepared(folder.path)
    const wanted: boolean[] = []
    const fake = { ...fakeHost(place.units), recoverAtBoot: (isWanted: boolean) => void wanted.push(isWanted) }
    using open = await begin(place, fake)
    assert.deepEqual(wanted, [true])
    await open.confirm()
    assert.deepEqual(wanted, [true, false])
  })

  it('tells when it begins and when it holds', async () => {
    using folder = scratch()
    const place = prepared(folder.path)
    const events: ForerunEvent[] = []
    using open = await begin(
      place,
      fakeHost(place.units, (event) => void events.push(event)),
    )
    assert.deepEqual(events.at(-1), { type: 'on-trial', operation: 'update new' })
    await open.confirm()
    assert.ok(events.some(({ type }) => type === 'committed'))
  })
})

test('trials are read without a lock while other transactions begin and end', async () => {
  using folder = scratch()
  const place = prepared(folder.path)
  using _open = await begin(place)
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const ending = `
    const { journal, stop } = require('node:worker_threads').workerData
    const fs = require('node:fs')
    while (Atomics.load(stop, 0) === 0) {
      fs.writeFileSync(journal + '/00000002.jsonl', '{"journal":2,"operation":"install b","containers":["b"]}\\n')
      fs.unlinkSync(journal + '/00000002.jsonl')
    }`
  const worker = new Worker(ending, { eval: true, workerData: { journal: place.journal, stop } })
  await once(worker, 'online')
  for (const end = performance.now() + 500; performance.now() < end; ) {
    assert.deepEqual(
      readTrials(place.journal).map(({ operation }) => operation.title),
      ['update new'],
    )
  }
  Atomics.store(stop, 0, 1)
  await once(worker, 'exit')
})
