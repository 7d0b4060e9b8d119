import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { LayerWriter } from '../../src/store/layer-writer.ts'
import { layerWriter } from '../../src/store/layer-writer.ts'
import { objectPath } from '../../src/store/object.ts'
import { openStaging } from '../../src/store/staging.ts'
import type { LayerEntry, Metadata } from '../../src/tree/entry.ts'
import type { StoredEntry } from '../../src/tree/merge.ts'
import { collectingWriter } from '../lab/collecting-writer.ts'
import { metadata } from '../tree/layers.ts'
import { scratch } from './scratch.ts'

function withAttributes(...names: string[]): Metadata {
  return { ...metadata, xattrs: new Map(names.map((name) => [name, Buffer.from('value')])) }
}

/** Large enough to be written as it comes. */
const large = Buffer.alloc(300_000, 'large')

describe('a file that cannot be finished', () => {
  /** Ends in an error, after which its number may be another file's at once: of another thread, too. */
  function closesOnce(writer: LayerWriter, fail: () => void, error: object): void {
    assert.throws(fail, error)
    const others = Array.from({ length: 8 }, () => openSync('/dev/null', 'r'))
    writer[Symbol.dispose]()
    writer[Symbol.dispose]()
    for (const fd of others) {
      assert.ok(fstatSync(fd).isCharacterDevice())
      closeSync(fd)
    }
  }

  it('since its capability is malformed, is closed once', () => {
    using folder = scratch()
    const writer = layerWriter(join(folder.path, 'store'), folder.path, { take() {} })
    writer.entry({ kind: 'file', path: 'x', metadata: withAttributes('security.capability'), size: large.length })
    writer.content(large)
    closesOnce(writer, () => writer.endFile(), { code: 'layer', message: /'security.capability' of .* cannot be set/ })
  })

  it('since the disk is full, is closed once', () => {
    using folder = scratch()
    const disk = join(folder.path, 'disk')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'forerun-test', disk])
    try {
      using writer = layerWriter(join(folder.path, 'store'), disk, { take() {} })
      writer.entry({ kind: 'file', path: 'x', metadata, size: large.length })
      closesOnce(writer, () => writer.content(large), { code: 'ENOSPC' })
    } finally {
      execFileSync('umount', [disk])
    }
  })
})

describe('a hole', () => {
  /** What takes minutes to hash byte by byte, and the disk of a test could not hold. */
  const size = 3 * 1024 ** 4

  it('is neither hashed nor written, however large', () => {
    using folder = scratch()
    const store = join(folder.path, 'store')
    using staging = openStaging(store)
    using writer = collectingWriter(store, staging.openFolder())
    writer.entry({ kind: 'file', path: 'x', metadata, size })
    writer.hole(size - 4)
    writer.content(Buffer.from('tail'))
    writer.endFile()
    staging.commit()
    const [entry] = writer.entries
    assert.equal(entry?.kind, 'file')
    const status = statSync(objectPath(store, (entry as Extract<StoredEntry, { kind: 'file' }>).object))
    assert.deepEqual([status.size, status.blocks < 64], [size, true])
  })

  it('that came as zeros is a hole, too, and the same object', () => {
    using folder = scratch()
    const store = join(folder.path, 'store')
    using staging = openStaging(store)
    using writer = collectingWriter(store, staging.openFolder())
    const zeros = Buffer.alloc(100_000)
    const file: LayerEntry = { kind: 'file', path: 'x', metadata, size: 4_000_000 }
    writer.entry(file)
    for (let count = 0; count < 40; count++) writer.content(zeros)
    writer.endFile()
    writer.entry(file)
    writer.hole(4_000_000)
    writer.endFile()
    staging.commit()
    const objects = writer.entries.map((entry) => (entry.kind === 'file' ? entry.object : ''))
    assert.equal(objects[0], objects[1])
    const path = objectPath(store, objects[0] ?? '')
    assert.ok(readFileSync(path).equals(Buffer.alloc(4_000_000)))
    assert.ok(statSync(path).blocks * 512 < 1_000_000)
  })

  it('changes no name of a file without a whole MiB of zeros', () => {
    using folder = scratch()
    using writer = collectingWriter(join(folder.path, 'store'), folder.path)
    writer.entry({ kind: 'file', path: 'x', metadata, size: 400_000 })
    writer.hole(399_999)
    writer.content(Buffer.from('!'))
    writer.endFile()
    // As versions before holes were left out of the hash named it.
    const [entry] = writer.entries
    assert.equal(
      entry?.kind === 'file' && entry.object,
      '4c6cc399efe8ea356f89241ac35e0eae1c324420743841caf8f0eaf3653d4bc3',
    )
  })
})

describe('extended attributes', () => {
  const kept = ['security.x', 'system.posix_acl_access', 'trusted.x', 'user.x']

  it('that no Linux file system holds are left out, and told', () => {
    using folder = scratch()
    const foreign = ['com.apple.provenance', 'org.x', 'user.', 'user', 'system.x', '\xff']
    const [entries, told] = written(folder.path, [
      { kind: 'directory', path: 'd', metadata: withAttributes(...kept, ...foreign) },
    ])
    assert.deepEqual([...(entries[0]?.metadata.xattrs.keys() ?? [])], kept)
    assert.deepEqual(told, foreign)
  })

  it('of users are left out, and told, of what is neither file nor directory', () => {
    using folder = scratch()
    const [entries, told] = written(folder.path, [
      { kind: 'symlink', path: 'l', target: 'x', metadata: withAttributes('trusted.x', 'user.x') },
      { kind: 'fifo', path: 'f', metadata: withAttributes('user.y') },
      { kind: 'character-device', path: 'c', major: 1, minor: 3, metadata: withAttributes('user.z') },
    ])
    assert.deepEqual(
      entries.map(({ metadata: { xattrs } }) => [...xattrs.keys()]),
      [['trusted.x'], [], []],
    )
    assert.deepEqual(told, ['user.x', 'user.y', 'user.z'])
  })

  it('of the host that built the image are left out without a word', () => {
    using folder = scratch()
    const names = ['security.selinux', 'system.nfs4_acl', 'trusted.overlay.opaque', 'user.overlay.origin']
    const [entries, told] = written(folder.path, [{ kind: 'directory', path: 'd', metadata: withAttributes(...names) }])
    assert.deepEqual([entries[0]?.metadata.xattrs.size, told], [0, []])
  })

  it('of a file are left out before it is written', () => {
    using folder = scratch()
    const [entries] = written(folder.path, [
      { kind: 'file', path: 'f', metadata: withAttributes('com.apple.quarantine'), size: 0 },
    ])
    assert.equal(entries.length, 1)
    assert.equal(readdirSync(folder.path).length, 1)
  })
})

function written(folder: string, given: readonly LayerEntry[]): [entries: StoredEntry[], told: string[]] {
  const entries: StoredEntry[] = []
  const told: string[] = []
  using writer = layerWriter(join(folder, 'store'), folder, {
    take: (entry) => entries.push(entry),
    leftOut: (name) => told.push(name),
  })
  for (const entry of given) {
    writer.entry(entry)
    if (entry.kind === 'file') writer.endFile()
  }
  return [entries, told]
}
