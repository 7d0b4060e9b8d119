import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { extendedAttributes, makeNode, nodeTypes, setExtendedAttribute, setTimes } from '../../src/host/system-calls.ts'
import { defaultLayerLimits } from '../../src/image/layer-limits.ts'
import { tarReader } from '../../src/layer/tar.ts'
import { type LayerEntry, pathBytes } from '../../src/tree/entry.ts'
import { ensurePackages } from '../lab/packages.ts'
import { type Recorded, recorder } from './archive.ts'

/** Archives by the programs that make them, against the tree that they were made of. */

const folder = mkdtempSync(join(tmpdir(), 'forerun-tar-'))
const tree = join(folder, 'tree')
const binary = Buffer.from('\0\n=\xff\x80 value', 'latin1')
const root = process.getuid?.() === 0

before(() => {
  mkdirSync(join(tree, 'etc'), { recursive: true })
  writeFileSync(join(tree, 'etc/file'), 'content')
  chmodSync(join(tree, 'etc/file'), 0o4755)
  setExtendedAttribute(Buffer.from(join(tree, 'etc/file')), Buffer.from('user.binary'), binary)
  setExtendedAttribute(Buffer.from(join(tree, 'etc')), Buffer.from('user.folder'), Buffer.from('x'))
  linkSync(join(tree, 'etc/file'), join(tree, 'etc/zz-link'))
  symlinkSync('../no/../where', join(tree, 'etc/symlink'))
  writeFileSync(Buffer.concat([Buffer.from(join(tree, 'etc/')), Buffer.from([0xff, 0xfe, 0x41])]), 'not UTF-8')
  makeNode(Buffer.from(join(tree, 'etc/pipe')), nodeTypes.fifo, 0, 0)
  const sparse = openSync(join(tree, 'sparse'), 'w')
  for (let piece = 0; piece < 40; piece++)
    writeSync(sparse, Buffer.alloc(4096, 'data'), 0, 4096, 100_000 + piece * 20_480)
  closeSync(sparse)
  truncateSync(join(tree, 'sparse'), 3_000_000)
  writeFileSync(join(tree, 'empty'), '')
  if (root) {
    makeNode(Buffer.from(join(tree, 'etc/null')), nodeTypes['character-device'], 1, 3)
    chownSync(join(tree, 'empty'), 3_000_000, 70_000)
  }
  setTimes(Buffer.from(join(tree, 'empty')), 1_500_000_000, 123_456_789)
})
after(() => rmSync(folder, { recursive: true, force: true }))

const longName = `${'long/'.repeat(30)}${'n'.repeat(120)}`

function addLongNames(): void {
  mkdirSync(join(tree, longName, '..'), { recursive: true })
  writeFileSync(join(tree, longName), 'long')
  symlinkSync('t'.repeat(180), join(tree, 'long-target'))
}

describe('v7, before there are long names', () => {
  // v7 knows no devices and no pipes: GNU tar leaves them out with status 1 or 2.
  test('is read', () => {
    const archive = join(folder, 'v7.tar')
    spawnSync('tar', [
      '--format=v7',
      '-cf',
      archive,
      '-C',
      tree,
      '--exclude=pipe',
      '--exclude=null',
      '--exclude=empty',
      '.',
    ])
    compare(read(archive), { precise: false, omit: ['etc/pipe', 'etc/null', 'empty'] })
  })
})

describe('GNU tar', () => {
  before(addLongNames)
  const archives: [title: string, words: string[], check: Check][] = [
    ['gnu', ['--format=gnu'], {}],
    ['gnu, sparse', ['--format=gnu', '--sparse'], { holes: true }],
    ['gnu, with dates before 1970', ['--format=gnu', '--mtime=@-5'], { seconds: -5 }],
    ['pax with extended attributes', ['--format=posix', '--xattrs'], { precise: true, attributes: true }],
    ['pax with a fraction before 1970', ['--format=posix', '--mtime=@-1.25'], { precise: true, seconds: -2 }],
    ...['0.0', '0.1', '1.0'].map((version): [string, string[], Check] => [
      `pax, sparse ${version}`,
      ['--format=posix', '--sparse', `--sparse-version=${version}`],
      { precise: true, holes: true },
    ]),
    ['oldgnu', ['--format=oldgnu', '--sparse'], { holes: true }],
  ]
  for (const [title, words, check] of archives) {
    test(`${title} is read`, () => {
      const archive = join(folder, 'gnu.tar')
      execFileSync('tar', [...words, '-cf', archive, '-C', tree, '.'])
      compare(read(archive), check)
    })
  }
})

describe('bsdtar', () => {
  before(() => ensurePackages(['libarchive-tools']))
  for (const [format, attributes] of [
    ['pax', true],
    ['gnutar', false],
  ] as const) {
    test(`${format} is read`, () => {
      const archive = join(folder, 'bsd.tar')
      execFileSync('bsdtar', [`--format=${format}`, '-cf', archive, '-C', tree, '.'], {
        stdio: 'pipe',
        env: { ...process.env, LC_ALL: 'C.UTF-8' },
      })
      compare(read(archive), { precise: format === 'pax', attributes })
    })
  }
})

interface Check {
  /** Times have nanoseconds. */
  precise?: boolean
  attributes?: boolean
  holes?: boolean
  /** Of every time, instead of the file's own. */
  seconds?: number
  omit?: string[]
}

function read(archive: string): Recorded[] {
  const receiver = recorder()
  const reader = tarReader(receiver, { layer: 'sha256:abc', limits: defaultLayerLimits })
  reader.write(readFileSync(archive))
  reader.end()
  return receiver.recorded
}

function compare(
  recorded: Recorded[],
  { precise = false, attributes = false, holes = false, seconds, omit = [] }: Check,
): void {
  const entries = new Map(recorded.map((each) => [each.entry.path, each]))
  const names = namesBelow('').filter((name) => !omit.includes(name))
  assert.deepEqual([...entries.keys()].sort(), names.sort())
  for (const [path, { entry, content }] of entries) {
    const host = Buffer.concat([Buffer.from(`${tree}/`), pathBytes(path)])
    const stat = lstatSync(host, { bigint: true })
    assert.equal(entry.metadata.mode, Number(stat.mode) & 0o7777, path)
    assert.deepEqual([entry.metadata.uid, entry.metadata.gid], [Number(stat.uid), Number(stat.gid)], path)
    assert.equal(entry.metadata.mtime.seconds, seconds ?? Number(stat.mtimeNs / 1_000_000_000n), path)
    if (precise && seconds === undefined) {
      assert.equal(entry.metadata.mtime.nanoseconds, Number(stat.mtimeNs % 1_000_000_000n), path)
    }
    if (attributes && entry.kind !== 'hardlink') assert.deepEqual(entry.metadata.xattrs, extendedAttributes(host), path)
    if (entry.kind === 'hardlink') assert.equal(lstatSync(join(tree, entry.target)).ino, Number(stat.ino))
    else assert.equal(entry.kind, kindOf(stat), path)
    if (entry.kind === 'file') assert.ok(content.equals(readFileSync(host)), path)
    if (entry.kind === 'symlink') assert.equal(entry.target, readlinkSync(host, 'latin1'))
    if (entry.kind === 'character-device') assert.deepEqual([entry.major, entry.minor], [1, 3])
  }
  assert.equal(
    entries.get('etc/zz-link')?.entry.kind === 'hardlink' || entries.get('etc/file')?.entry.kind === 'hardlink',
    true,
  )
  if (holes) assert.ok((entries.get('sparse')?.holes ?? 0) > 2_000_000)
}

/** As byte strings, the root among them. */
function namesBelow(path: string): string[] {
  const names = readdirSync(Buffer.from(join(tree, path), 'latin1'), { withFileTypes: true, encoding: 'buffer' })
  const below = names.flatMap((name) => {
    const child = `${path === '' ? '' : `${path}/`}${name.name.toString('latin1')}`
    return name.isDirectory() ? namesBelow(child) : [child]
  })
  return [path, ...below]
}

function kindOf(stat: {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
  isFIFO(): boolean
}): LayerEntry['kind'] {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'symlink'
  return stat.isFIFO() ? 'fifo' : 'character-device'
}
