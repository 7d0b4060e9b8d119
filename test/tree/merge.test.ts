import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mergeLayers } from '../../src/tree/merge.ts'
import { resolvePath } from '../../src/tree/resolve.ts'
import { directory, file, hardlink, listing, symlink } from './layers.ts'

describe('mergeLayers', () => {
  it('puts a later layer over an earlier one', () => {
    const tree = mergeLayers([[directory('a'), file('a/x', 'old'), file('a/y')], [file('a/x', 'new')]])
    assert.deepEqual(listing(tree), ['a/', 'a/x=new', 'a/y=a/y'])
  })

  it('removes a name by a whiteout, and everything in a directory by an opaque one', () => {
    const base = [directory('a'), file('a/x'), file('a/y'), directory('b'), file('b/z')]
    assert.deepEqual(listing(mergeLayers([base, [file('a/.wh.x')]])), ['a/', 'a/y=a/y', 'b/', 'b/z=b/z'])
    assert.deepEqual(listing(mergeLayers([base, [file('.wh.b')]])), ['a/', 'a/x=a/x', 'a/y=a/y'])
    assert.deepEqual(listing(mergeLayers([base, [file('a/.wh..wh..opq'), file('a/n')]])), [
      'a/',
      'a/n=a/n',
      'b/',
      'b/z=b/z',
    ])
  })

  it('keeps what the layer of a whiteout adds itself, in either order', () => {
    const base = [directory('a'), file('a/x', 'old')]
    for (const layer of [
      [file('a/.wh.x'), file('a/x', 'new')],
      [file('a/x', 'new'), file('a/.wh.x')],
      [file('a/x', 'new'), file('a/.wh..wh..opq')],
    ]) {
      assert.deepEqual(listing(mergeLayers([base, layer])), ['a/', 'a/x=new'])
    }
  })

  it('does not leave the root by a whiteout of a parent', () => {
    assert.deepEqual(listing(mergeLayers([[file('x')], [file('.wh...'), file('a/.wh...'), file('.wh.')]])), ['x=x'])
  })

  it('writes through the symbolic links of lower layers, within the root', () => {
    const merged = [directory('usr'), directory('usr/lib'), symlink('lib', 'usr/lib'), symlink('out', '/../../usr')]
    assert.deepEqual(listing(mergeLayers([merged, [file('lib/so'), file('out/x')]])), [
      'lib->usr/lib',
      'out->/../../usr',
      'usr/',
      'usr/lib/',
      'usr/lib/so=lib/so',
      'usr/x=out/x',
    ])
  })

  it('replaces a directory by a file and the reverse, and a link by a directory', () => {
    const base = [directory('d'), file('d/x'), file('f'), symlink('l', 'd')]
    const tree = mergeLayers([base, [file('d'), directory('f'), directory('l')]])
    assert.deepEqual(listing(tree), ['d=d', 'f/', 'l/'])
  })

  it('keeps the content of a directory that comes again, with its new metadata', () => {
    const tree = mergeLayers([[directory('d'), file('d/x')], [directory('d', 0o700)]])
    assert.equal(resolvePath(tree, 'd')?.metadata.mode, 0o700)
    assert.deepEqual(listing(tree), ['d/', 'd/x=d/x'])
  })

  it('makes one inode of a file and its hard links, across layers too', () => {
    const tree = mergeLayers([[file('a')], [hardlink('b', 'a'), hardlink('d/c', 'b')]])
    assert.equal(resolvePath(tree, 'b'), resolvePath(tree, 'a'))
    assert.equal(resolvePath(tree, 'd/c'), resolvePath(tree, 'a'))
  })

  it('refuses a hard link to nothing, to a directory, and to what only the host has', () => {
    for (const target of ['none', 'd', '../../etc/passwd']) {
      assert.throws(() => mergeLayers([[directory('d'), hardlink('b', target)]]), { code: 'layer' })
    }
  })

  it('refuses a file where a directory is needed, and links without end', () => {
    assert.throws(() => mergeLayers([[file('f'), file('f/x')]]), { code: 'layer', message: /'f' is a file/ })
    assert.throws(() => mergeLayers([[symlink('a', 'b'), symlink('b', 'a'), file('a/x')]]), { code: 'layer' })
  })

  it('names what is in the way, and not what lies beyond', () => {
    const message = "'d/nondir' is a file where a directory is needed"
    const base = [directory('d'), file('d/nondir'), symlink('l', 'd'), symlink('to', '/d/nondir')]
    for (const path of ['d/nondir/x', 'd/nondir/x/y/z', 'l/nondir/x/y', 'to/x', 'to/x/y']) {
      assert.throws(() => mergeLayers([base, [file(path)]]), { code: 'layer', message }, path)
    }
    const link = "'h' is a hard link to 'l/nondir/x/y', but 'd/nondir' is a file"
    assert.throws(() => mergeLayers([base, [hardlink('h', 'l/nondir/x/y')]]), { code: 'layer', message: link })
    const absent = "'h' is a hard link to 'absent/x', which does not exist"
    assert.throws(() => mergeLayers([base, [hardlink('h', 'absent/x')]]), { code: 'layer', message: absent })
  })

  it('takes the metadata of the root from the layer', () => {
    assert.equal(mergeLayers([[directory('', 0o711)]]).metadata.mode, 0o711)
  })
})

describe('resolvePath', () => {
  it('follows links as a process inside would, and finds nothing at an endless one', () => {
    const tree = mergeLayers([
      [file('etc/passwd'), symlink('a', '../../etc'), symlink('b', '/a/passwd'), symlink('loop', 'loop')],
    ])
    assert.equal(resolvePath(tree, '/b')?.kind, 'file')
    assert.equal(resolvePath(tree, '/a/../etc/./passwd')?.kind, 'file')
    assert.equal(resolvePath(tree, '/loop/x'), undefined)
    assert.equal(resolvePath(tree, '/etc/passwd/x'), undefined)
  })
})
