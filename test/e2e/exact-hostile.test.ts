import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import { wildLayer } from '../lab/compare-stack.ts'
import { assembleImage, writeLayout } from '../lab/image.ts'
import { memoryFolder } from '../lab/leftovers.ts'
import type { TarFile } from '../lab/tar-encoder.ts'
import { readTree, treeDifferences, type WholeTree } from '../lab/tree-difference.ts'
import { unpackImage } from '../lab/unpack-image.ts'

/**
 * Every known way out of the root: what is unpacked lies in it or is refused, and nothing beside it is read, changed or
 * removed. The canary lies where the names below lead, by `..` and from `/`.
 */
const memory = memoryFolder('hostile')
const area = memory.path
const canary = join(area, 'canary')
const folder = join(area, 'work')
const target = join(folder, 'root')
let untouched: WholeTree

before(() => {
  mkdirSync(canary)
  mkdirSync(folder)
  for (const name of ['file', 'secret', 'victim']) writeFileSync(join(canary, name), `the host's ${name}`)
  mkdirSync(join(canary, 'folder'), { mode: 0o711 })
  symlinkSync('/etc/passwd', join(canary, 'link'))
  chmodSync(join(canary, 'secret'), 0o600)
  untouched = readTree(canary)
})
after(() => memory[Symbol.dispose]())

interface Case {
  /** Base first. */
  readonly layers: readonly (readonly TarFile[])[]
  /** Of the error's message; undefined for layers that are unpacked. */
  readonly refused?: RegExp
  /** All names of the tree then, but its root. */
  readonly names?: readonly string[]
}

const out = '../../canary'

const families: Readonly<Record<string, Readonly<Record<string, Case>>>> = {
  'a name': {
    'that is absolute lies in the root': { layers: [[file('/canary/new')]], names: ['canary', 'canary/new'] },
    'that is absolute and leads to the canary lies in the root': {
      layers: [[file(`${canary}/new`)]],
      names: [...parents(`${canary}/new`.slice(1))],
    },
    'with .. at its beginning lies in the root': {
      layers: [[file('../../canary/new')], [file('../../../../../../canary/file')]],
      names: ['canary', 'canary/file', 'canary/new'],
    },
    'with .. in its middle lies in the root': {
      layers: [[file('a/../../../canary/new')]],
      names: ['canary', 'canary/new'],
    },
    'of .. alone is the root': { layers: [[directory('..'), directory('../..')]], names: [] },
    'with .. in a PAX record lies in the root': {
      layers: [[{ ...file('../../canary/new\xff'), format: 'pax' }]],
      names: ['canary', 'canary/new\xff'],
    },
    'with .. in a GNU long name lies in the root': {
      layers: [[{ ...file(`../../canary/${'n'.repeat(200)}`), format: 'gnu' }]],
      names: ['canary', `canary/${'n'.repeat(200)}`],
    },
    'with .. in the record of a sparse file lies in the root': {
      layers: [[{ ...file('../../canary/file'), format: 'pax', map: [[0, 3]], sparse: '1.0' }]],
      names: ['canary', 'canary/file'],
    },
  },
  'a symbolic link': {
    'is not followed out by an entry of its own layer': {
      layers: [[symlink('out', out), file('out/file')]],
      names: ['canary', 'canary/file', 'out'],
    },
    'is not followed out by an entry of a later layer': {
      layers: [[symlink('out', out)], [file('out/file'), file('out/folder/new')]],
      names: ['canary', 'canary/file', 'canary/folder', 'canary/folder/new', 'out'],
    },
    'that is absolute is one from the root': {
      layers: [[symlink('out', canary)], [file('out/file')]],
      names: [...parents(`${canary.slice(1)}/file`), 'out'],
    },
    'that leads out by way of others is not followed out': {
      layers: [
        [symlink('a', 'b'), symlink('b', 'c/..'), directory('c'), symlink('c/d', '../../..'), file('a/c/d/canary/x')],
      ],
      names: ['a', 'b', 'c', 'c/d', 'canary', 'canary/x'],
    },
    'in place of a folder is not followed out by what comes after': {
      layers: [
        [directory('d'), file('d/f')],
        [file('d/g'), symlink('d', out), file('d/victim')],
      ],
      names: ['canary', 'canary/victim', 'd'],
    },
    'is replaced by a file, and not written through': {
      layers: [[symlink('x', `${out}/victim`)], [file('x')]],
      names: ['x'],
    },
    'is replaced by a folder, whose mode is not given to what it led to': {
      layers: [[symlink('x', `${out}/folder`)], [{ ...directory('x'), mode: 0o777 }]],
      names: ['x'],
    },
    'does not take the mode, owner or attributes of its entry elsewhere': {
      layers: [
        [{ ...symlink('x', `${out}/secret`), mode: 0o777, uid: 1234, xattrs: [['trusted.x', Buffer.from('y')]] }],
      ],
      names: ['x'],
    },
    'in place of the root is refused': { layers: [[symlink('.', out), file('x')]], refused: /symlink without a name/ },
    'in place of the root by .. is refused': { layers: [[symlink('a/..', out)]], refused: /symlink without a name/ },
    'without end is refused when something goes through it': {
      layers: [[symlink('a', 'b'), symlink('b', 'a'), file('a/x')]],
      refused: /symbolic links without end/,
    },
    'to itself is refused when something goes through it': {
      layers: [[symlink('a', 'a/a/a'), file('a/x')]],
      refused: /symbolic links without end/,
    },
    'after forty others is refused': {
      layers: [[directory('l0'), ...range(41).map((n) => symlink(`l${n + 1}`, `l${n}`)), file('l41/x')]],
      refused: /symbolic links without end/,
    },
    'that grows with every step is refused': {
      layers: [[symlink('a', 'b/b'), symlink('b', 'a/a'), file('a/x')]],
      refused: /symbolic links without end/,
    },
  },
  'a hard link': {
    'to an absolute path outside is refused': {
      layers: [[hardlink('x', join(canary, 'secret'))]],
      refused: /is a hard link to '.*secret', which does not exist/,
    },
    'to a path outside by .. is refused': {
      layers: [[hardlink('x', `${out}/secret`)]],
      refused: /is a hard link to 'canary\/secret', which does not exist/,
    },
    'through a link that leads out is refused': {
      layers: [[symlink('out', out)], [hardlink('x', 'out/secret')]],
      refused: /which does not exist/,
    },
    "to the host's files of the same name is refused": {
      layers: [[hardlink('x', '/etc/passwd')]],
      refused: /which does not exist/,
    },
    'to a link that leads out is that link, and is not written through': {
      layers: [[symlink('lnk', `${out}/victim`), hardlink('h', 'lnk')], [file('h')]],
      names: ['h', 'lnk'],
    },
    'to a folder is refused': { layers: [[directory('d'), hardlink('x', 'd')]], refused: /which is a directory/ },
    'to the root is refused': { layers: [[hardlink('x', '/')]], refused: /hardlink to the root directory/ },
    'in place of the root is refused': {
      layers: [[file('f'), hardlink('./', 'f')]],
      refused: /hardlink without a name/,
    },
    'to what its own layer removed is refused': {
      layers: [[file('f')], [file('.wh.f'), hardlink('x', 'f')]],
      refused: /which does not exist/,
    },
  },
  'a whiteout': {
    'of .. is refused': { layers: [[file('a/f')], [file('a/.wh...')]], refused: /'a\/.wh...', a whiteout of no name/ },
    'of .. in the root is refused': { layers: [[file('a/f')], [file('.wh...')]], refused: /a whiteout of no name/ },
    'of . is refused': { layers: [[file('a/f')], [file('a/.wh..')]], refused: /a whiteout of no name/ },
    'of . in the root is refused': { layers: [[file('a/f')], [file('.wh..')]], refused: /a whiteout of no name/ },
    'of nothing is refused': { layers: [[file('a/f')], [file('a/.wh.')]], refused: /a whiteout of no name/ },
    'of nothing in the root is refused': { layers: [[file('a/f')], [file('.wh.')]], refused: /a whiteout of no name/ },
    'through a link that leads out removes nothing there': {
      layers: [
        [symlink('out', out)],
        [file('out/.wh.file'), file('out/folder/.wh..wh..opq'), file('out/.wh..wh..opq')],
      ],
      names: ['out'],
    },
    'with .. in its name removes what that is in the root': {
      layers: [[file('canary/file')], [file('../../canary/.wh.file')]],
      names: ['canary'],
    },
    'of all that the root holds stays in the root': { layers: [[file('f')], [file('/.wh..wh..opq')]], names: [] },
  },
  'what lies in the way': {
    'a file': { layers: [[file('a'), file('a/b')]], refused: /'a' is a file where a directory is needed/ },
    'a file of a lower layer': { layers: [[file('a')], [file('a/b/c')]], refused: /'a' is a file where a dir/ },
    'a file at the end of a link': {
      layers: [[file('a'), symlink('l', 'a')], [file('l/b')]],
      refused: /'a' is a file where a directory is needed/,
    },
    'a device': {
      layers: [[{ ...file('a'), kind: 'block-device', device: [8, 0] }, file('a/b')]],
      refused: /'a' is a block-device where a directory is needed/,
    },
    'a pipe that nobody reads is replaced, and does not wait': {
      layers: [[{ ...file('a'), kind: 'fifo' }], [file('a')]],
      names: ['a'],
    },
    'a device that would take what is written is replaced': {
      layers: [[{ ...file('a'), kind: 'character-device', device: [1, 3] }], [file('a')]],
      names: ['a'],
    },
  },
}

for (const [family, cases] of Object.entries(families)) {
  describe(family, () => {
    for (const [title, { layers, refused, names }] of Object.entries(cases)) {
      test(title, async () => {
        const fault = await unpack(layers)
        assert.deepEqual(treeDifferences(readTree(canary), untouched), [])
        if (refused !== undefined) {
          assert.match(fault ?? 'it was unpacked', refused)
          assert.equal(existsSync(target), false)
          return
        }
        assert.equal(fault, undefined)
        const tree = readTree(target)
        assert.deepEqual([...tree.keys()].filter((path) => path !== '').sort(), [...(names ?? [])].sort())
        for (const { content } of tree.values()) assert.notEqual(content, untouched.get('secret')?.content)
      })
    }
  })
}

test("attributes of the host's overlays and labels are not taken from an image", async () => {
  const names = ['trusted.overlay.redirect', 'trusted.overlay.opaque', 'user.overlay.opaque', 'security.selinux']
  const xattrs = [...names, 'trusted.kept'].map((name): [string, Buffer] => [name, Buffer.from('y')])
  const fault = await unpack([
    [
      { ...directory('d'), xattrs },
      { ...file('f'), xattrs },
    ],
  ])
  assert.equal(fault, undefined)
  const tree = readTree(target)
  for (const path of ['d', 'f']) assert.deepEqual(tree.get(path)?.xattrs, ['trusted.kept=79'])
})

test("nobody else on the host reaches an image's setuid files through the store", async () => {
  assert.equal(await unpack([[{ ...file('su'), mode: 0o4755 }]]), undefined)
  assert.equal(statSync(join(folder, 'store')).mode & 0o077, 0)
})

/** @returns the message when it is refused. */
async function unpack(layers: readonly (readonly TarFile[])[]): Promise<string | undefined> {
  for (const name of ['root', 'layout', 'store']) rmSync(join(folder, name), { recursive: true, force: true })
  const packed = layers.map((files) => wildLayer({ files, blocks: 2, compression: 'none' }))
  const layout = join(folder, 'layout')
  await writeLayout(assembleImage(packed), layout, { tag: '1' })
  try {
    await unpackImage(`oci:${layout}:1`, target, { folder })
    return undefined
  } catch (error) {
    if (error instanceof ForerunError && error.code === 'layer') return error.message
    throw error
  }
}

function file(path: string): TarFile {
  const mtime = { seconds: 1, nanoseconds: 0 }
  const content = Buffer.from(`the image's ${path}`)
  return { kind: 'file', path, mode: 0o644, uid: 0, gid: 0, mtime, xattrs: [], content, format: 'ustar' }
}

function directory(path: string): TarFile {
  return { ...file(path), kind: 'directory', mode: 0o755, content: Buffer.alloc(0) }
}

function symlink(path: string, to: string): TarFile {
  return { ...directory(path), kind: 'symlink', target: to }
}

function hardlink(path: string, to: string): TarFile {
  return { ...directory(path), kind: 'hardlink', target: to }
}

function range(count: number): number[] {
  return [...Array(count).keys()]
}

/** A path and all that it is in. */
function parents(path: string): string[] {
  return path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))
}
