import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportedVariables, readExports } from '../../src/bundle/exports.ts'
import { imageFiles } from './image-in-memory.ts'

test('the variables of all templates are listed, those of installed files and new names too', () => {
  const files = imageFiles({
    '/exports/config.json.template': '{"a": "$NAME $A"}',
    '/exports/service.template': '$B $A',
    '/exports/tmpfiles.template': '$C',
    '/exports/manifest.json':
      '{"installedFilesTemplate": ["/etc/x", "/etc/none"], "renameFiles": {"/etc/x": "/etc/$D"}}',
    '/exports/hostfs/etc/x': '$E $A',
    '/exports/hostfs/etc/y': '$NOT_A_TEMPLATE',
  })
  assert.deepEqual(exportedVariables(readExports(files), files), ['NAME', 'A', 'B', 'C', 'D', 'E'])
})

test('an image without exports has none', () => {
  const files = imageFiles({})
  const exports = readExports(files)
  assert.deepEqual(Object.keys(exports), ['manifest'])
  assert.deepEqual(exportedVariables(exports, files), [])
})
