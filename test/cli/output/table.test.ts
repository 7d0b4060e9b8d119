import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatSize } from '../../../src/cli/output/size.ts'
import { formatTable } from '../../../src/cli/output/table.ts'

test('columns are aligned, and no line ends in spaces', () => {
  const rows = [
    ['>', 'etcd', '3.5'],
    ['', 'flannel-with-a-long-name', ''],
  ]
  assert.equal(
    formatTable(['', 'NAME', 'TAG'], rows, { heading: true }),
    ['   NAME                      TAG', '>  etcd                      3.5', '   flannel-with-a-long-name'].join('\n'),
  )
})

test('a column for marks is there when nothing is marked', () => {
  assert.equal(formatTable(['', 'NAME'], [['', 'etcd']], { heading: true }), '   NAME\n   etcd')
})

test('without a heading there are rows alone, which may be none', () => {
  assert.equal(formatTable(['NAME', 'TAG'], [['a', 'b']], { heading: false }), 'a  b')
  assert.equal(formatTable(['NAME'], [], { heading: false }), '')
  assert.equal(formatTable(['NAME', 'TAG'], [], { heading: true }), 'NAME  TAG')
})

test('a cell never breaks its line', () => {
  assert.equal(formatTable(['A', 'B'], [['x\ny', '\x1b[31mz']], { heading: false }), 'x y  z')
})

test('sizes have three digits and powers of 1000', () => {
  const sizes = [0, 999, 1000, 1500, 12_345, 999_499, 999_500, 45_600_000, 7e9, 2e18]
  assert.deepEqual(sizes.map(formatSize), [
    '0B',
    '999B',
    '1kB',
    '1.5kB',
    '12.3kB',
    '999kB',
    '1MB',
    '45.6MB',
    '7GB',
    '2000PB',
  ])
})
