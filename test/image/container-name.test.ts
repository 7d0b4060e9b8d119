import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseContainerName } from '../../src/image/container-name.ts'

test('letters, digits, underscores, dots and dashes make a name', () => {
  for (const name of ['etcd', 'etcd-3.5', '0', 'A_b.c-d', 'x'.repeat(200)]) assert.equal(parseContainerName(name), name)
})

test('a name that would not be safe as a file or a unit is refused with a hint', () => {
  const names = [
    '',
    '../x',
    'a b',
    '.',
    '..',
    '.a',
    '-a',
    '_a',
    'a/b',
    'a@b',
    'a\n',
    'a\0',
    'é',
    'a\\x2d',
    'x'.repeat(201),
  ]
  for (const name of [...names, 'x'.repeat(300)]) {
    assert.throws(() => parseContainerName(name), { code: 'name', hint: /--name/, message: /^[^\n]{1,150}$/ }, name)
  }
})

test('a name that is too long is not repeated in the error', () => {
  assert.throws(() => parseContainerName('x'.repeat(300)), { message: /has 300 characters; the limit is 200/ })
})
