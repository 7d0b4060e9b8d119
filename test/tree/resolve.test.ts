import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergeLayers } from '../../src/tree/merge.ts'
import { realPath } from '../../src/tree/resolve.ts'
import { directory, file, symlink } from './layers.ts'

const tree = mergeLayers([
  [
    directory('run'),
    symlink('var/run', '../../../run'),
    symlink('abs', '/var/run/x'),
    symlink('loop', 'loop'),
    file('file'),
  ],
])

for (const [path, real] of [
  ['/var/run/app', '/run/app'],
  ['abs/../y', '/run/y'],
  ['/../..', '/'],
  ['/absent/../file/below', '/file/below'],
  ['/loop/x', undefined],
] as const) {
  test(`the real path of ${path} is ${real}`, () => assert.equal(realPath(tree, path), real))
}
