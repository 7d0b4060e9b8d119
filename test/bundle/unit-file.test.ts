import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseUnit, unitValue } from '../../src/bundle/unit-file.ts'

test('settings keep their order, and keys repeat', () => {
  const unit = parseUnit('[Service]\nExecStartPre=/bin/a\nExecStartPre = /bin/b  \n\n[Install]\nAlias=x.service\n')
  assert.deepEqual(unit, [
    { section: 'Service', key: 'ExecStartPre', value: '/bin/a', line: 2 },
    { section: 'Service', key: 'ExecStartPre', value: '/bin/b', line: 3 },
    { section: 'Install', key: 'Alias', value: 'x.service', line: 6 },
  ])
})

test('a line goes on after a backslash, past comments', () => {
  const unit = parseUnit('[Service]\nExecStart=/bin/sh \\\n# not this\n  -c "a" \\\n  end\n; comment\nType=simple\n')
  assert.deepEqual(
    unit.map(({ key, value, line }) => [key, value, line]),
    [
      ['ExecStart', '/bin/sh  -c "a"  end', 2],
      ['Type', 'simple', 7],
    ],
  )
})

test('a doubled backslash at the end does not continue the line', () => {
  const unit = parseUnit('[Service]\nEnvironment=A=\\\\\nType=simple')
  assert.equal(unitValue(unit, 'Service', 'Type'), 'simple')
})

test('lines that mean nothing are passed over', () => {
  assert.deepEqual(parseUnit('Early=1\n[Unit]\nnonsense\n=x\n'), [])
})

test('the last value counts, and an empty one resets', () => {
  const unit = parseUnit('[Service]\nSlice=a.slice\nSlice=b.slice\nType=forking\nType=\n[Unit]\nSlice=no\n')
  assert.equal(unitValue(unit, 'Service', 'Slice'), 'b.slice')
  assert.equal(unitValue(unit, 'Service', 'Type'), undefined)
  assert.equal(unitValue(unit, 'Service', 'PIDFile'), undefined)
})
