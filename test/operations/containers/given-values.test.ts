import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { givenValues } from '../../../src/operations/containers/given-values.ts'

const folder = mkdtempSync(join(tmpdir(), 'given-values-'))
after(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

test('the content of a file is a value without its last line break, and is secret', () => {
  const setFile = [`TOKEN=${file('token', 'a=b\n')}`, `PEM=${file('pem', 'one\ntwo\r\n')}`, `NONE=${file('none', '')}`]
  const { assignments, secrets, credentials } = givenValues({ set: ['PORT=1'], setFile })
  const expected = { PORT: '1', TOKEN: 'a=b', PEM: 'one\ntwo', NONE: '' }
  assert.deepEqual(Object.fromEntries(assignments), expected)
  assert.deepEqual(secrets, ['TOKEN', 'PEM', 'NONE'])
  assert.equal(credentials.size, 0)
})

test('a credential is the absolute path of its file, which is not read', () => {
  const path = file('binary', Buffer.from([0, 0xff]))
  const { assignments, credentials } = givenValues({ setCredential: [`KEY=${folder}/./binary`] })
  assert.equal(assignments.size, 0)
  assert.deepEqual([...credentials], [['KEY', path]])
})

for (const [name, content, problem] of [
  ['nul', 'a\0', 'it has a NUL byte'],
  ['latin1', Buffer.from([0xe4]), 'it is not UTF-8 text'],
  ['large', 'a'.repeat(1024 * 1024 + 1), 'it is larger than a mebibyte'],
] as const) {
  test(`a file is refused when ${problem}`, () => {
    const path = file(name, content)
    const message = `The file '${path}' cannot give 'TOKEN': ${problem}`
    assert.throws(() => givenValues({ setFile: [`TOKEN=${path}`] }), { code: 'variable', message })
  })
}

test('a file that is not there is refused', () => {
  const words = [`TOKEN=${folder}/missing`]
  assert.throws(() => givenValues({ setFile: words }), { code: 'variable', message: /cannot give 'TOKEN': ENOENT/ })
  assert.throws(() => givenValues({ setCredential: words }), { message: /cannot give 'TOKEN': there is no such file$/ })
  assert.throws(() => givenValues({ setCredential: [`TOKEN=${folder}`] }), { message: /there is no such file$/ })
})

test('a variable is given in one way', () => {
  const path = file('once', 'a')
  for (const given of [
    { set: ['A=1'], setFile: [`A=${path}`] },
    { set: ['A=1'], setCredential: [`A=${path}`] },
    { setFile: [`A=${path}`], setCredential: [`A=${path}`] },
  ]) {
    assert.throws(() => givenValues(given), { code: 'variable', message: "The variable 'A' is given in two ways" })
  }
})

test('forced variables and words without a file are refused with the option that they came with', () => {
  assert.throws(() => givenValues({ setFile: ['NAME=x'] }), { code: 'variable', hint: 'Leave out this --set-file.' })
  assert.throws(() => givenValues({ setCredential: ['A'] }), { hint: 'Write --set-credential VARIABLE=FILE.' })
})
