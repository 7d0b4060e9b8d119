import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unitArgument, unitWord } from '../../src/bundle/unit-word.ts'

test('a plain path stays as it is', () => {
  assert.equal(unitWord('/usr/bin/runc'), '/usr/bin/runc')
})

test('spaces are quoted, and quotes and backslashes in quotes escaped', () => {
  assert.equal(unitWord('/srv/a b'), '"/srv/a b"')
  assert.equal(unitWord('a"b\\c'), '"a\\"b\\\\c"')
  assert.equal(unitWord('a\tb\nc'), '"a\\x09b\\x0ac"')
  assert.equal(unitWord(''), '""')
})

test('specifiers are doubled, and dollar signs in arguments only', () => {
  assert.equal(unitWord('/srv/50%/$HOME'), '/srv/50%%/$HOME')
  assert.equal(unitArgument('/srv/50%/$HOME'), '/srv/50%%/$$HOME')
})
