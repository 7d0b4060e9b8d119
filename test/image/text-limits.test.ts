import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { parseJson } from '../../src/image/json.ts'
import { deepestJson, largestTexts, refuseDeepJson, textBudget } from '../../src/image/text-limits.ts'

const nested = (levels: number): string => `${'[{"a":'.repeat(levels / 2)}0${'}]'.repeat(levels / 2)}`

test('JSON may be so deep and no deeper, well formed or not', () => {
  refuseDeepJson('it', nested(deepestJson))
  for (const text of [nested(deepestJson + 2), '['.repeat(1_000_000), `{"a": ${'['.repeat(200)}`]) {
    assert.throws(() => refuseDeepJson('it', text), {
      code: 'limit',
      message: /^it has more than 128 levels/,
      hint: /./,
    })
  }
})

test('brackets in strings, and lists beside each other, are no levels', () => {
  for (const text of [`"${'['.repeat(1000)}"`, `"\\"${'{'.repeat(1000)}\\\\"`, `[${'[],'.repeat(1000)}[]]`]) {
    refuseDeepJson('it', text)
  }
})

test('a document of a registry that is too deep is over a limit', () => {
  const deep = Buffer.from(`{"a": ${nested(1_000_000)}}`)
  assert.throws(() => parseJson(deep, v.object({}), { document: 'the manifest' }), {
    code: 'limit',
    message: 'the manifest has more than 128 levels of lists and objects',
  })
})

test('texts may have so many bytes together', () => {
  const spend = textBudget('They')
  spend(largestTexts - 1)
  spend(1)
  assert.throws(() => spend(1), { code: 'limit', message: /^They have more than 16777216 bytes together$/ })
})
