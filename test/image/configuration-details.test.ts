import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfigurationDetails } from '../../src/image/configuration-details.ts'

const parse = (document: object, layers: number) => {
  return parseConfigurationDetails(Buffer.from(JSON.stringify(document)), { layers })
}

test('the history tells of the layers when it has a step for each', () => {
  const history = [{ created_by: 'a' }, { created_by: 'CMD x', empty_layer: true }, {}]
  assert.deepEqual(parse({ history }, 2), { createdBy: ['a', ''] })
  assert.deepEqual(parse({ history }, 3), {})
  assert.deepEqual(parse({ history: null, config: null }, 1), {})
})

test('a health check is kept as it is', () => {
  const healthCheck = { Test: ['CMD', 'x'], Interval: 5_000_000_000 }
  assert.deepEqual(parse({ config: { Healthcheck: healthCheck } }, 1), { healthCheck })
})

test('a malformed history is told of', () => {
  assert.throws(() => parse({ history: [{ created_by: 1 }] }, 1), {
    code: 'manifest',
    message: /history\[0\]\.created_by/,
  })
})
