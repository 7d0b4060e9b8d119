import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ensurePackages } from '../lab/packages.ts'
import { compareStacks } from '../lab/stacks.ts'

/** `FORERUN_STACK_SEED=N` tries that one stack; without it, others than the last time. */
const given = process.env.FORERUN_STACK_SEED
const seeds =
  given === undefined ? { from: Math.floor(Date.now() / 1000) * 10, count: 500 } : { from: Number(given), count: 1 }

test(`stacks of layers by chance come out as umoci and GNU tar unpack them, from seed ${seeds.from}`, async (t) => {
  await ensurePackages(['umoci'])
  const { failures, ...figures } = await compareStacks(seeds)
  t.diagnostic(JSON.stringify(figures))
  assert.deepEqual(failures, [], failures.join('\n'))
  if (given === undefined) assert.ok(figures.verdicts.equal > figures.stacks / 2, 'most stacks are images')
})
