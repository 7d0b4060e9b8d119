import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lookUpUser } from '../../src/bundle/image-user.ts'

const files = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\n\nbroken line\nweb:x:33:34::/srv:/bin/false\n1000:x:7:8::/:\n',
  group: 'root:x:0:\nweb:x:34:\ndocs:x:90:web,other\nadm:x:4:web\nmy:x:55:\n',
}

for (const [user, uid, gid, additionalGids] of [
  ['', 0, 0, []],
  ['root', 0, 0, []],
  ['web', 33, 34, [4, 90]],
  ['33', 33, 34, [4, 90]],
  ['web:my', 33, 55, []],
  ['web:56', 33, 56, []],
  ['web:', 33, 34, [4, 90]],
  ['12:13', 12, 13, []],
  ['12', 12, 0, []],
  ['1000', 7, 8, []],
] as const) {
  test(`the user '${user}' is ${uid}:${gid}`, () => {
    assert.deepEqual(lookUpUser(user, files), { uid, gid, additionalGids: [...additionalGids] })
  })
}

test('numbers need no files', () => {
  assert.deepEqual(lookUpUser('5:6', { passwd: undefined, group: undefined }), { uid: 5, gid: 6, additionalGids: [] })
})

for (const [user, message] of [
  ['nobody', "The image's user 'nobody' is not in its /etc/passwd"],
  ['web:none', "The image's group 'none' is not in its /etc/group"],
  ['-1', "The image's user '-1' is not in its /etc/passwd"],
  ['4294967295', "The image's user '4294967295' is not in its /etc/passwd"],
] as const) {
  test(`the user '${user}' is refused`, () => {
    assert.throws(() => lookUpUser(user, files), { code: 'configuration', message })
  })
}
