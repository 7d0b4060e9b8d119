import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import { mergeLayers, type StoredEntry } from '../../src/tree/merge.ts'
import type { TreeNode } from '../../src/tree/node.ts'
import { resolvePath } from '../../src/tree/resolve.ts'
import { lookUp, mergeUpperLayers } from '../../src/tree/upper-layers.ts'
import { directory, file, hardlink, symlink } from './layers.ts'

const wanted = '/exports/a'

function found(...layers: StoredEntry[][]): string | undefined {
  const node = lookUp(mergeUpperLayers(layers, { isLowest: false }), wanted)
  if (node === 'unknown' || node === undefined) return node
  return node.kind === 'file' ? node.object : node.kind
}

const exports = directory('exports')

describe('of the upper layers alone it is certain', () => {
  test('what a listed directory holds', () => assert.equal(found([exports, file('exports/a')]), 'exports/a'))
  test('what is listed before its directory', () => assert.equal(found([file('exports/a'), exports]), 'exports/a'))
  test('what a whiteout removed', () => assert.equal(found([exports, file('exports/.wh.a')]), undefined))
  test('what an opaque directory lacks', () => assert.equal(found([exports, file('exports/.wh..wh..opq')]), undefined))
  test('what a removed directory lacks', () => assert.equal(found([file('.wh.exports'), exports]), undefined))
  test('that all is gone with its directory', () => {
    assert.equal(found([exports, file('exports/a')], [file('.wh.exports')]), undefined)
  })
  test('what a directory lacks that took the place of a file', () => {
    assert.equal(found([file('exports')], [exports]), undefined)
  })
  test('what a symbolic link leads to', () => {
    assert.equal(found([exports, symlink('exports/a', '../usr/b'), directory('usr'), file('usr/b')]), 'usr/b')
  })
  test('what a hard link is of', () => {
    assert.equal(found([exports, file('exports/b'), hardlink('exports/a', 'exports/b')]), 'exports/b')
  })
  test('what stands among entries of unlisted directories with other names', () => {
    assert.equal(found([exports, file('exports/a'), file('usr/bin/b')]), 'exports/a')
  })
})

describe('the layers below decide', () => {
  test('what nobody named', () => assert.equal(found([]), 'unknown'))
  test('what a listed directory does not hold', () => assert.equal(found([exports, file('exports/b')]), 'unknown'))
  test('in which directory an unlisted one is', () => assert.equal(found([file('exports/a')]), 'unknown'))
  test('where a symbolic link leads', () => {
    assert.equal(found([exports, symlink('exports/a', '/usr/b')]), 'unknown')
  })
  test('what a hard link to below is of', () => {
    assert.equal(found([exports, hardlink('exports/a', 'usr/b')]), 'unknown')
    assert.equal(found([exports, file('exports/a')], [exports, hardlink('exports/a', 'usr/b')]), 'unknown')
  })
  test('whether an entry of that name in an unlisted directory is another', () => {
    assert.equal(found([exports, file('exports/a')], [file('link/a')]), 'unknown')
    assert.equal(found([exports, file('exports/.wh..wh..opq')], [file('link/a')]), 'unknown')
    assert.equal(found([exports, file('exports/a')], [file('link/exports/x')]), 'unknown')
  })
  test('whether a whiteout in an unlisted directory removes it', () => {
    assert.equal(found([exports, file('exports/a')], [file('link/.wh.a')]), 'unknown')
    assert.equal(found([exports, file('exports/a')], [file('link/.wh..wh..opq')]), 'unknown')
  })
  test('what many entries of unlisted directories did', () => {
    const strays = Array.from({ length: 100 }, (_, index) => file(`usr/${index}`))
    assert.equal(found([exports, file('exports/a')], strays), 'unknown')
  })
})

describe('of a layer that was not read and leaves /exports alone', () => {
  const links = [exports, file('exports/b'), symlink('exports/a', '../usr/b'), directory('usr'), file('usr/b')]
  const look = (layers: Parameters<typeof mergeUpperLayers>[0]) =>
    lookUp(mergeUpperLayers(layers, { isLowest: true }), wanted)
  test('nothing is missing in /exports', () => {
    assert.equal(look([{ leaves: 'exports' }]), undefined)
    assert.equal(look([{ leaves: 'exports' }, [exports, file('exports/b')]]), undefined)
    assert.equal(look([[exports, file('exports/b')], { leaves: 'exports' }]), undefined)
  })
  test('what lies elsewhere is unknown', () => {
    assert.equal(look([links, { leaves: 'exports' }]), 'unknown')
    assert.notEqual(look([{ leaves: 'exports' }, links]), 'unknown')
  })
})

test('what is certain is what merging all layers finds, whatever lies below', () => {
  const random = generator(7)
  const checked = { certain: 0, unknown: 0 }
  for (let round = 0; round < 20_000; round++) {
    const below = [randomLayer(random), randomLayer(random)]
    const upper = [randomLayer(random), randomLayer(random)]
    const whole = isHonest([...below, ...upper]) ? attempt(() => mergeLayers([...below, ...upper])) : undefined
    if (whole === undefined) continue
    const tree = mergeUpperLayers(upper, { isLowest: false })
    for (const path of ['/exports/a', '/exports/b', '/exports/d/a']) {
      const node = lookUp(tree, path)
      checked[node === 'unknown' ? 'unknown' : 'certain'] += 1
      if (node === 'unknown') continue
      assert.equal(shown(node), shown(resolvePath(whole, path)), `${path} ${JSON.stringify([below, upper])}`)
    }
  }
  assert.ok(checked.certain > 1000 && checked.unknown > 1000, JSON.stringify(checked))
})

const paths = ['exports', 'exports/a', 'exports/b', 'exports/d', 'exports/d/a', 'l', 'l/a', 'l/d/a', 'u', 'u/a', 'u/b']
const targets = ['exports', 'u', '/exports/d', 'exports/a', 'b', '../u/a', 'u/b', '.']
const whiteouts = [
  '.wh.exports',
  'exports/.wh.a',
  'exports/.wh..wh..opq',
  'l/.wh.a',
  'l/.wh..wh..opq',
  'exports/d/.wh.a',
]

/** Directories first, as tools write them. */
function randomLayer(random: () => number): StoredEntry[] {
  const pick = (list: readonly string[]): string => list[Math.floor(random() * list.length)] ?? ''
  const listed = paths.filter((path) => random() < 0.3 && !/[ab]$/.test(path))
  const rest = Array.from({ length: Math.floor(random() * 5) }, (): StoredEntry => {
    const path = pick(paths.filter((candidate) => !listed.includes(candidate)))
    const kind = random()
    if (kind < 0.5) return file(path, `${path}#${random()}`)
    if (kind < 0.65) return symlink(path, pick(targets))
    return kind < 0.75 ? hardlink(path, pick(['exports/a', 'u/a', 'l/a'])) : file(pick(whiteouts))
  })
  return [...listed.map((path) => directory(path)), ...rest]
}

/** Whether no layer has whiteouts in a directory that it lists, where another layer has something else. */
function isHonest(layers: readonly StoredEntry[][]): boolean {
  const others = new Set(layers.flat().flatMap(({ kind, path }) => (kind === 'directory' ? [] : [path])))
  return layers.every((layer) => {
    const folders = layer.flatMap(({ path }) => (path.includes('.wh.') ? [path.slice(0, path.lastIndexOf('/'))] : []))
    return !layer.some(({ kind, path }) => {
      return kind === 'directory' && others.has(path) && folders.some((folder) => `${folder}/`.startsWith(`${path}/`))
    })
  })
}

function attempt<Result>(merge: () => Result): Result | undefined {
  try {
    return merge()
  } catch (error) {
    if (error instanceof ForerunError) return undefined
    throw error
  }
}

/** A directory is no file. */
function shown(node: TreeNode | undefined): string | undefined {
  return node?.kind === 'file' ? node.object : undefined
}

/** Of numbers from 0 to 1, the same for the same seed (a linear congruential generator). */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
