import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  chooseTag,
  formatUpdatePolicy,
  parseUpdatePolicy,
  policyFits,
  readUpdatePolicy,
} from '../../src/image/update-policy.ts'

const etcd = [
  'latest',
  'v3.5.0',
  '3.5',
  '3.5.1',
  '3.5.9',
  '3.5.10',
  '3.6',
  '3.6.0-rc.1',
  '3.6.0',
  '3.7.1',
  '4.0.0',
  'edge',
]

/** Policy, current tag, tags, and the one that is chosen. */
const table: [string, string, readonly string[], string][] = [
  ['tag', '3.5.1', etcd, '3.5.1'],
  ['tag', 'latest', etcd, 'latest'],
  ['patch', '3.5.1', etcd, '3.5.10'],
  ['minor', '3.5.1', etcd, '3.7.1'],
  ['major', '3.5.1', etcd, '4.0.0'],
  // As many numbers as before.
  ['patch', '3.5', etcd, '3.5'],
  ['minor', '3.5', etcd, '3.6'],
  // The prefix stays.
  ['major', 'v3.5.0', etcd, 'v3.5.0'],
  ['minor', 'v1.2.0', ['v1.2.1', '1.3.0', 'v1.10.0', 'v1.9.0'], 'v1.10.0'],
  // Never lower, also where the tag itself is gone.
  ['patch', '3.5.11', etcd, '3.5.11'],
  ['~3.5', '3.6.0', etcd, '3.6.0'],
  ['minor', '3.5.1', [], '3.5.1'],
  // Ranges.
  ['~3.5', '3.5.1', etcd, '3.5.10'],
  ['3.5.x', '3.5.1', etcd, '3.5.10'],
  ['>=3.5 <3.7', '3.5.1', etcd, '3.6.0'],
  ['>= 3.5, < 3.7', '3.5.1', etcd, '3.6.0'],
  ['^3.5.1', '3.5.1', etcd, '3.7.1'],
  ['>3.6', '3.5.1', etcd, '4.0.0'],
  ['<=3.6', '3.5.1', etcd, '3.6.0'],
  ['3.5 || 4', '3.5.1', etcd, '4.0.0'],
  ['*', '3.5.1', etcd, '4.0.0'],
  ['~3.5', 'latest', etcd, '3.5.10'],
  ['~5', 'latest', etcd, 'latest'],
  // Pre-releases only for who has one, and releases for those, too.
  ['minor', '3.5.1', ['3.6.0-rc1', '3.6.0-beta', '3.6.0rc2', '3.6.0-alpha.1'], '3.5.1'],
  ['minor', '3.6.0-rc.1', ['3.6.0-rc.2', '3.6.0-rc.10', '3.6.0-beta.11'], '3.6.0-rc.10'],
  ['minor', '3.6.0-rc.1', ['3.6.0-rc.2', '3.6.0'], '3.6.0'],
  ['minor', '3.6.0-rc.1', ['3.6.0', '3.7.0-alpha'], '3.7.0-alpha'],
  ['<3.7', '3.6.0-rc.1', ['3.6.0-rc.2', '3.7.0-rc.1'], '3.6.0-rc.2'],
  ['patch', '3.13.0a1-slim', ['3.13.0a2', '3.13.0b1-slim', '3.13.0-slim-bookworm'], '3.13.0b1-slim'],
  // The variant stays.
  ['patch', '3.5.1-alpine', ['3.5.2', '3.5.2-alpine', '3.5.3-slim', '3.5.3-rc1-alpine'], '3.5.2-alpine'],
  ['patch', '3.5.1', ['3.5.2-alpine', '3.5.3-1'], '3.5.1'],
  ['major', '1.2.3-20260101', ['2.0.0-20260102', '1.2.4-20260101'], '1.2.4-20260101'],
  // What is no version.
  ['major', '3.5.1', ['20260101', '1234567.1234567890', '5', '5.0.0.1', 'v', 'sha-9.9.9', '9.9.9alpine'], '3.5.1'],
  ['major', '24.04', ['24.10', '26.04', '2026.04.01'], '26.04'],
]

describe('a policy chooses', () => {
  for (const [policy, current, tags, chosen] of table) {
    test(`${chosen} of ${tags.length} tags from ${current} by ${policy}`, () => {
      assert.equal(chooseTag(parseUpdatePolicy(policy), current, tags), chosen)
      assert.equal(chooseTag(parseUpdatePolicy(policy), current, tags.toReversed()), chosen)
    })
  }
})

/** Range, versions in it, versions outside. */
const ranges: [string, string, string][] = [
  ['~3', '3.0.0 3.9.9', '2.9.9 4.0.0'],
  ['~3.5.2', '3.5.2 3.5.9', '3.5.1 3.6.0'],
  ['^3', '3.0.0 3.9.0', '4.0.0'],
  ['^0.3.1', '0.3.1 0.3.9', '0.3.0 0.4.0'],
  ['^0.0.3', '0.0.3', '0.0.4'],
  ['^0.0', '0.0.9', '0.1.0'],
  ['^0', '0.9.9', '1.0.0'],
  ['=3.5', '3.5.0 3.5.7', '3.6.0'],
  ['v3.5.1', '3.5.1', '3.5.2'],
  ['3.x', '3.0.0 3.9.9', '4.0.0'],
  ['>3.5.1 <=3.5.3', '3.5.2 3.5.3', '3.5.1 3.5.4'],
]

test('ranges hold what npm says that they hold', () => {
  for (const [words, inside, outside] of ranges) {
    const policy = parseUpdatePolicy(words)
    for (const version of inside.split(' ')) assert.equal(chooseTag(policy, 'latest', [version]), version, words)
    for (const version of outside.split(' ')) assert.equal(chooseTag(policy, 'latest', [version]), 'latest', words)
  }
})

test('other words, and ranges that no version is in, are no policy', () => {
  for (const words of [
    '',
    ' ',
    'newest',
    'none',
    '3.5.1.1',
    '>=3.7 <3.5',
    '>>3',
    '~',
    '3.5 ||',
    '^3.5-rc1',
    '>*',
    '1.2.3 - 2',
  ]) {
    assert.equal(readUpdatePolicy(words), undefined, words)
    assert.throws(() => parseUpdatePolicy(words), { code: 'usage' })
  }
})

test('policies are written as they are read', () => {
  for (const words of ['tag', 'patch', 'minor', 'major', '~3.5', '>=3.5 <3.7']) {
    assert.equal(formatUpdatePolicy(parseUpdatePolicy(words)), words)
  }
  assert.equal(formatUpdatePolicy(parseUpdatePolicy('  >=3.5   <3.7 ')), '>=3.5 <3.7')
})

test('what compares versions needs a version to begin with', () => {
  const fits = (words: string, tag: string) => policyFits(parseUpdatePolicy(words), tag)
  assert.deepEqual(
    ['tag', 'patch', 'minor', 'major', '~3.5'].map((words) => fits(words, 'latest')),
    [true, false, false, false, true],
  )
  assert.ok(fits('patch', 'v3.5.1-alpine'))
  assert.ok(!fits('minor', '3'))
})
