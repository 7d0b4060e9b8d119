import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseUpdatePolicy } from '../../src/image/update-policy.ts'
import {
  defaultUpdateSettings,
  formatUpdateSettings,
  readUpdateSettings,
  updateSettingsPath,
} from '../../src/store/update-settings.ts'
import { scratch } from './scratch.ts'

test('settings are read as they were written', () => {
  using folder = scratch()
  for (const policy of ['tag', 'patch', '>=3.5 <3.7']) {
    const settings = { pinned: policy === 'tag', policy: parseUpdatePolicy(policy) }
    writeFileSync(updateSettingsPath(folder.path, 'etcd'), formatUpdateSettings(settings) ?? '')
    assert.deepEqual(readUpdateSettings(folder.path, 'etcd'), settings)
  }
})

test('the defaults need no file', () => {
  using folder = scratch()
  assert.equal(formatUpdateSettings(defaultUpdateSettings), undefined)
  assert.deepEqual(readUpdateSettings(folder.path, 'etcd'), defaultUpdateSettings)
})

test('a file that is damaged or of a newer version keeps the container as it is, and what it says more is left alone', () => {
  using folder = scratch()
  const read = (text: string) => {
    writeFileSync(updateSettingsPath(folder.path, 'etcd'), text)
    return readUpdateSettings(folder.path, 'etcd')
  }
  for (const text of ['', '{', 'null', '[]', '{"pinned": 1}', '{"policy": "weekly"}'])
    assert.equal(read(text).pinned, true)
  assert.deepEqual(read('{}'), defaultUpdateSettings)
  assert.deepEqual(read('{"pinned": false, "policy": "patch", "canary": true}'), {
    pinned: false,
    policy: { kind: 'patch' },
  })
})
