import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTurns } from '../../src/workers/side-by-side.ts'

test('so many at a time have a turn, and the others get it in their order', async () => {
  const turns = openTurns(2)
  const order: string[] = []
  let atOnce = 0
  let most = 0
  const work = async (name: string): Promise<void> => {
    using _turn = await turns.take()
    order.push(name)
    most = Math.max(most, ++atOnce)
    await new Promise((resolve) => setImmediate(resolve))
    atOnce--
  }
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map(work))
  assert.deepEqual(order, ['a', 'b', 'c', 'd', 'e'])
  assert.equal(most, 2)
})
