import assert from 'node:assert/strict'
import { test } from 'node:test'
import { age } from '../../../src/cli/output/age.ts'

const now = Date.parse('2026-03-01T00:00:00Z') / 1000

test('ages are those of the engines', () => {
  const ages = [0, 1, 59, 60, 125, 3600, 7200, 47 * 3600, 3 * 86400, 15 * 86400, 61 * 86400, 800 * 86400]
  assert.deepEqual(
    ages.map((seconds) => age(now - seconds, now)),
    [
      'Less than a second ago',
      '1 second ago',
      '59 seconds ago',
      'About a minute ago',
      '2 minutes ago',
      'About an hour ago',
      '2 hours ago',
      '47 hours ago',
      '3 days ago',
      '2 weeks ago',
      '2 months ago',
      '2 years ago',
    ],
  )
  assert.equal(age(Number.NaN), '')
})

test('what was built to be the same each time has no age', () => {
  for (const time of ['1970-01-01T00:00:00Z', '1970-01-01T00:00:01Z', '1980-01-01T00:00:01Z', '0001-01-01T00:00:00Z']) {
    assert.equal(age(Date.parse(time) / 1000, now), 'N/A')
  }
  assert.equal(age(Date.parse('2013-06-01T00:00:00Z') / 1000, now), '12 years ago')
})
