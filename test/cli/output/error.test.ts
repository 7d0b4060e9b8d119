import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { printError } from '../../../src/cli/output/error.ts'
import { ForerunError } from '../../../src/errors.ts'

function print(error: unknown, { json = false, debug = false } = {}) {
  const [stdout, stderr] = [new PassThrough({ encoding: 'utf8' }), new PassThrough({ encoding: 'utf8' })]
  const status = printError(error, { json, debug, stdout, stderr })
  return { status, stdout: (stdout.read() ?? '') as string, stderr: (stderr.read() ?? '') as string }
}

const failure = new ForerunError('registry', 'the registry is gone', {
  hint: 'Try later.',
  cause: new Error('ECONNREFUSED'),
})

test('a message and a hint are two lines on standard error', () => {
  assert.deepEqual(print(failure), {
    status: 1,
    stdout: '',
    stderr: 'forerun: the registry is gone\nhint: Try later.\n',
  })
  assert.equal(print(new ForerunError('name', 'no name')).stderr, 'forerun: no name\n')
})

test('with --json a script finds the error on standard output', () => {
  const { stdout, stderr } = print(failure, { json: true })
  assert.deepEqual(JSON.parse(stdout), {
    error: { code: 'registry', message: 'the registry is gone', hint: 'Try later.', details: [] },
  })
  assert.equal(stderr, 'forerun: the registry is gone\nhint: Try later.\n')
  assert.deepEqual(JSON.parse(print(new ForerunError('name', 'no'), { json: true }).stdout).error.hint, null)
})

test('the exit status tells usage and interruption from failure', () => {
  assert.deepEqual(
    ['usage', 'interrupted', 'store'].map((code) => print(new ForerunError(code as 'usage', '')).status),
    [2, 130, 1],
  )
  assert.equal(print(AbortSignal.abort().reason).status, 130)
  assert.equal(print('thrown text').status, 1)
})

test('a bug is one line without --debug, and with it has the stacks of its causes', () => {
  const bug = new TypeError('x is undefined', { cause: new Error('Bearer abcdefghijk', { cause: 'text' }) })
  const { stderr } = print(bug)
  assert.match(stderr, /^forerun: internal error: x is undefined\nhint: .*--debug.*\n$/)
  const debugged = print(bug, { debug: true }).stderr
  assert.match(debugged, /TypeError: x is undefined\n {4}at .*error\.test\.ts/)
  assert.match(debugged, /caused by: Error: Bearer \[hidden\]\n(?: {4}at .*\n)+caused by: text\n$/)
  assert.equal(JSON.parse(print(bug, { json: true }).stdout).error.code, 'internal')
})

test('what an image says does not steer the terminal, nor make a second line', () => {
  const { stderr } = print(new ForerunError('layer', "'\x1b[31mred\x07\nforerun: all is well\u202e'"))
  assert.equal(stderr, "forerun: 'red\\x07 forerun: all is well\\x202e'\n")
})

describe('what the system refuses is one clear line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-error-'))
  const thrown = (act: () => void): unknown => {
    try {
      act()
    } catch (error) {
      return error
    }
    throw new Error('nothing was thrown')
  }
  test('a full device', () => {
    const { stderr, status } = print(thrown(() => writeFileSync('/dev/full', 'x')))
    assert.match(stderr, /^forerun: no space left on the device \(write\)\nhint: Make room/)
    assert.equal(status, 1)
  })
  for (const [code, expected] of [
    ['EACCES', 'permission denied'],
    ['EROFS', 'the file system is read-only'],
    ['EMFILE', 'too many open files'],
  ] as const) {
    test(code, () => {
      const error = Object.assign(new Error(code), { code, syscall: 'open', path: '/etc/x' })
      assert.match(print(error).stderr, new RegExp(`^forerun: ${expected} \\(open /etc/x\\)\nhint: `))
    })
  }
  test('but what it should never refuse is a bug', () => {
    mkdirSync(join(folder, 'folder'))
    assert.match(print(thrown(() => readFileSync(join(folder, 'folder')))).stderr, /internal error: EISDIR/)
    rmSync(folder, { recursive: true })
  })
})
