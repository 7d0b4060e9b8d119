import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { namesIn } from '../../src/host/folder-entries.ts'
import { random } from '../lab/random.ts'
import { scratch } from '../store/scratch.ts'
import { dyingCalls } from './dying-calls.ts'

// Before anything else calls libc.
const calls = dyingCalls()
const { applyChanges, recover } = await import('../../src/transaction/transaction.ts')
const { activeUnits, fakeHost, listing } = await import('./fake-host.ts')
const { randomPlan, someHost } = await import('./random-plan.ts')

const { signal } = new AbortController()
const operation = { title: 'install x', containers: ['x'] }

/** Other plans where a seed is given. */
const firstSeed = Number(process.env.FORERUN_CRASH_SEED ?? 1)
assert.ok(Number.isSafeInteger(firstSeed), 'FORERUN_CRASH_SEED is a whole number')
const plans = 12

interface Scene extends Disposable {
  readonly path: string
  readonly host: string
  readonly units: string
  readonly journal: string
}

/** In memory: nobody pulls the plug of the machine, and a disk takes long to sync. */
function scene(): Scene {
  const folder = scratch('/dev/shm')
  const host = join(folder.path, 'host')
  someHost(host)
  mkdirSync(join(folder.path, 'active'))
  return {
    path: folder.path,
    host,
    units: join(host, 'units'),
    journal: join(folder.path, 'journal'),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

function state({ host, units }: Scene): string[] {
  return [...listing(host), ...activeUnits(units).map((unit) => `active ${unit}`)]
}

async function apply(at: Scene, seed: number): Promise<void> {
  const changes = randomPlan(at.host, random(seed))
  await applyChanges(operation, changes, { journal: at.journal, host: fakeHost(at.units), signal })
}

for (let seed = firstSeed; seed < firstSeed + plans; seed++) {
  test(`a death at any call leaves the start or the end, and so does one while recovering (seed ${seed})`, async () => {
    using start = scene()
    const before = state(start)
    using whole = scene()
    calls.arm(Number.POSITIVE_INFINITY)
    await apply(whole, seed)
    const total = calls.disarm()
    const end = state(whole)
    const ends = new Set<string>()
    for (let at = 1; at <= total; at++) {
      using dying = scene()
      calls.arm(at)
      await apply(dying, seed).catch(() => {})
      calls.disarm()

      // Recovering dies, too: at a later call each time, until it has had enough of them.
      for (let again = 1 + (at % 5); again < 1000; again += 7) {
        calls.arm(again)
        await recover(dying.journal, fakeHost(dying.units), signal).catch(() => {})
        calls.disarm()
        if (namesIn(dying.journal).length === 0) break
      }
      await recover(dying.journal, fakeHost(dying.units), signal)
      const found = state(dying).join('\n')
      assert.ok(
        found === before.join('\n') || found === end.join('\n'),
        `seed ${seed}, call ${at} of ${total}:\n${found}`,
      )
      assert.deepEqual(namesIn(dying.journal), [])
      ends.add(found === before.join('\n') ? 'start' : 'end')
    }
    assert.deepEqual([...ends].sort(), ['end', 'start'], 'deaths come before and after the commit')
  })
}
