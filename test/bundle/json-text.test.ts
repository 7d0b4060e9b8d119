import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatJson, readJson } from '../../src/bundle/json-text.ts'

test('integers beyond 2^53 are read and written digit by digit', () => {
  const text =
    '{\n  "most": 18446744073709551615,\n  "least": -9223372036854775808,\n  "list": [\n    1,\n    0.25\n  ]\n}\n'
  const reading = readJson(text)
  assert.ok(reading.valid)
  assert.equal(formatJson(reading.value), text)
})

test('a fault deep inside is found behind valid strings, numbers and empty containers', () => {
  const text = '{"a": [{}, [], "\\u00e9 \\" }", -1.5e+3, true, null], "b": {"c": ?}}'
  const problem = "'?' where a value is wanted"
  assert.deepEqual(readJson(text), { valid: false, offset: text.indexOf('?'), problem })
})
