import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseExportsManifest } from '../../src/bundle/exports-manifest.ts'

test('every key is read, and unknown ones are passed over', () => {
  const manifest = parseExportsManifest(
    JSON.stringify({
      version: '1.0',
      defaultValues: { PORT: 2379, NAME_OF_PEER: 'a $b' },
      installedFilesTemplate: ['/etc/x.conf'],
      renameFiles: { '/usr/local/bin/etcdctl': '/usr/local/bin/$' + '{NAME}ctl' },
      noContainerService: true,
      useLinks: false,
      keepRootChanges: true,
      secretValues: ['TOKEN'],
      someday: {},
    }),
  )
  assert.deepEqual(
    [...manifest.defaultValues],
    [
      ['PORT', '2379'],
      ['NAME_OF_PEER', 'a $b'],
    ],
  )
  assert.deepEqual(manifest.installedFilesTemplate, ['/etc/x.conf'])
  assert.deepEqual([...manifest.renameFiles.keys()], ['/usr/local/bin/etcdctl'])
  assert.equal(manifest.noContainerService, true)
  assert.equal(manifest.useLinks, false)
  assert.equal(manifest.keepRootChanges, true)
  assert.deepEqual(manifest.secretValues, ['TOKEN'])
})

test('absent keys, also those that are null, have their defaults', () => {
  for (const text of ['{}', '{"version": null, "defaultValues": null, "renameFiles": null, "useLinks": null}']) {
    assert.deepEqual(parseExportsManifest(text), {
      defaultValues: new Map(),
      installedFilesTemplate: [],
      renameFiles: new Map(),
      noContainerService: false,
      useLinks: true,
      keepRootChanges: false,
      secretValues: [],
      healthCheck: undefined,
    })
  }
})

test('a health check has times in seconds or as engines write them, and a command for the shell or none', () => {
  const check = (text: string) => parseExportsManifest(`{"healthCheck": ${text}}`).healthCheck
  assert.deepEqual(check('{"command": "etcdctl endpoint health"}'), {
    command: ['/bin/sh', '-c', 'etcdctl endpoint health'],
    interval: 30_000,
    timeout: 30_000,
    retries: 3,
    startPeriod: 0,
  })
  const times = '"interval": 1.5, "timeout": "1m30s", "startPeriod": "500ms", "retries": 1'
  assert.deepEqual(check(`{"command": ["/etcdctl", "$X"], ${times}}`), {
    command: ['/etcdctl', '$X'],
    interval: 1500,
    timeout: 90_000,
    retries: 1,
    startPeriod: 500,
  })
})

for (const [text, message] of [
  ['{"version": 1}', /: version is 1, wanted a string$/],
  ['{"version": "2.0"}', /: version is "2\.0", wanted version "1\.0" of the format$/],
  ['{"defaultValues": {"A": true}}', /: defaultValues\.A is true, wanted a string or a number$/],
  ['{"defaultValues": []}', /: defaultValues is a list, wanted an object$/],
  ['{"installedFilesTemplate": ["/a", 5]}', /: installedFilesTemplate\[1\] is 5, wanted a string$/],
  ['{"renameFiles": {"/a b": 1}}', /: renameFiles\["\/a b"\] is 1, wanted a string$/],
  ['{"noContainerService": "yes"}', /: noContainerService is "yes", wanted true or false$/],
  ['{"useLinks": 1}', /: useLinks is 1, wanted true or false$/],
  ['{"healthCheck": {}}', /: healthCheck\.command is missing/],
  ['{"healthCheck": {"command": []}}', /: healthCheck\.command is /],
  [
    '{"healthCheck": {"command": "x", "interval": "soon"}}',
    /: healthCheck\.interval is "soon", wanted a time such as "30s"/,
  ],
  ['{"healthCheck": {"command": "x", "retries": 0}}', /: healthCheck\.retries is 0/],
  ['[]', /: the whole is a list, wanted an object$/],
  ['{"version": }', /is not valid JSON at line 1, column 13/],
] as const) {
  test(`the manifest ${text} is refused, naming the key`, () => {
    assert.throws(
      () => parseExportsManifest(text),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'exports')
        assert.match(error.message, /^The file '\/exports\/manifest\.json' /)
        assert.match(error.message, message)
        return true
      },
    )
  })
}

test('a stray dollar sign in a new name is refused', () => {
  assert.throws(() => parseExportsManifest('{"renameFiles": {"/a": "/b$"}}'), { code: 'template' })
})
