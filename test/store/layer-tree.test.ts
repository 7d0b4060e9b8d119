import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Digest } from '../../src/image/digest.ts'
import { layerTreePath, readLayerTree, writeLayerTree } from '../../src/store/layer-tree.ts'
import type { StoredEntry } from '../../src/tree/merge.ts'
import { encodedTree } from '../lab/collecting-writer.ts'
import { directory, file, metadata, symlink } from '../tree/layers.ts'
import { scratch } from './scratch.ts'

const diffId: Digest = `sha256:${'a'.repeat(64)}`
const entries: StoredEntry[] = [
  directory('d'),
  file('d/\xff\n"'),
  symlink('l', '\x80'),
  { ...directory('x'), metadata: { ...metadata, xattrs: new Map([['user.\xe9', Buffer.from([0, 255, 10])]]) } },
]

describe('readLayerTree', () => {
  it('reads what was written, byte for byte', () => {
    using store = scratch()
    writeLayerTree(store.path, diffId, encodedTree(entries))
    assert.deepEqual(readLayerTree(store.path, diffId), entries)
  })

  it('takes a tree that is not there, torn, or changed for absent', () => {
    using store = scratch()
    assert.equal(readLayerTree(store.path, diffId), undefined)
    writeLayerTree(store.path, diffId, encodedTree(entries))
    const path = layerTreePath(store.path, diffId)
    const whole = readFileSync(path)
    for (const damaged of [
      whole.subarray(0, -20),
      Buffer.alloc(whole.length),
      Buffer.alloc(0),
      Buffer.concat([whole, whole]),
    ]) {
      writeFileSync(path, damaged)
      assert.equal(readLayerTree(store.path, diffId), undefined)
    }
  })
})
