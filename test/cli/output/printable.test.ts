import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  fieldsWithoutCredentials,
  printable,
  printableJson,
  printableText,
  withoutCredentials,
} from '../../../src/cli/output/printable.ts'

test('credentials are hidden wherever they stand', () => {
  const expected: [string, string][] = [
    ['GET https://me:s3cret@example.com:5000/v2/', 'GET https://[hidden]@example.com:5000/v2/'],
    ['https://s3cret@example.com', 'https://[hidden]@example.com'],
    ['Authorization: Bearer s3cret.s3cret', 'Authorization: Bearer [hidden]'],
    ['authorization: basic czNjcmV0Og==', 'authorization: basic [hidden]'],
    ['/blob?X-Amz-Signature=s3cret&x=1', '/blob?X-Amz-Signature=[hidden]&x=1'],
    ['/blob?sv=1&sig=s3cret%3D', '/blob?sv=1&sig=[hidden]'],
    ['{"access_token":"s3cret","expires_in":300}', '{"access_token":"[hidden]","expires_in":300}'],
    ['PASSWORD=s3cret', 'PASSWORD=[hidden]'],
  ]
  for (const [text, hidden] of expected) assert.equal(withoutCredentials(text), hidden)
})

test('what only looks like one is kept', () => {
  for (const text of [
    'example.com/etcd@sha256:0123456789abcdef',
    'docker://example.com/etcd@sha256:0123456789abcdef',
    'WWW-Authenticate: Bearer realm="https://auth.example.com/token",service="registry"',
    "line 3: variable 'CLUSTER'",
    'config=/etc/x',
  ]) {
    assert.equal(withoutCredentials(text), text)
  }
})

test('fields are searched at every depth', () => {
  const fields = {
    list: [{ password: 'x' }, 'https://a:b@c/'],
    error: new Error('Bearer abcdefgh'),
    url: new URL('https://a:b@c/'),
    count: 3,
    size: 5n,
  }
  assert.deepEqual(fieldsWithoutCredentials(fields), {
    list: [{ password: '[hidden]' }, 'https://[hidden]@c/'],
    error: 'Bearer [hidden]',
    url: 'https://[hidden]@c/',
    count: 3,
    size: '5',
  })
})

test('text is one line without control characters', () => {
  assert.equal(printable(' a\r\n  b\tc\x1b]0;title\x07\x9b31m '), 'a b\\x09c')
})

test('a text keeps its lines and its blanks, and shows what would steer the terminal', () => {
  assert.equal(
    printableText('[Unit]\r\n\tDescription=\x1b[2K\x9b1A a\u202eb\u2028c  \n\x7f\rTOKEN=x\n'),
    '[Unit]\n\tDescription=\\x1b[2K\\x9b1A a\\x202eb\\x2028c  \n\\x7f\\x0dTOKEN=x\n',
  )
})

test('JSON says the same without a character that a terminal obeys', () => {
  const value = { 'a\x1b': 'b\x9b\u2067\u061c\n' }
  assert.doesNotMatch(printableJson(value), /(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
  assert.deepEqual(JSON.parse(printableJson(value)), value)
})
