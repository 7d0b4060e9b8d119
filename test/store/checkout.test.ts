import assert from 'node:assert/strict'
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { extendedAttributes, setExtendedAttribute } from '../../src/host/system-calls.ts'
import type { LayerWriter } from '../../src/store/layer-writer.ts'
import { objectPath } from '../../src/store/object.ts'
import { openStaging } from '../../src/store/staging.ts'
import type { CheckoutMethod } from '../../src/tree/checkout-method.ts'
import { type Metadata, pathBytes } from '../../src/tree/entry.ts'
import { mergeLayers, type StoredEntry } from '../../src/tree/merge.ts'
import { placeholder } from '../../src/tree/node.ts'
import { checkOutInThreads } from '../../src/workers/check-out-in-threads.ts'
import { collectingWriter } from '../lab/collecting-writer.ts'
import { running, scratch } from './scratch.ts'

const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
const metadata: Metadata = {
  mode: 0o4755,
  uid: 1234,
  gid: 4_294_967_294,
  mtime: { seconds: -3, nanoseconds: 123_456_789 },
  xattrs: new Map([['security.capability', capability]]),
}
const plain: Metadata = { ...metadata, mode: 0o640, xattrs: new Map() }

function sampleLayer(store: string): readonly StoredEntry[] {
  using staging = openStaging(store)
  using writer = collectingWriter(store, staging.openFolder())
  writer.entry({ kind: 'directory', path: 'bin', metadata: { ...plain, mode: 0o1777 } })
  writeFile(writer, 'bin/ping', metadata, Buffer.from('ping'))
  writer.entry({ kind: 'hardlink', path: 'bin/ping6', metadata, target: 'bin/ping' })
  writer.entry({ kind: 'symlink', path: 'sbin', metadata: plain, target: 'bin' })
  writer.entry({ kind: 'fifo', path: 'pipe', metadata: plain })
  writer.entry({ kind: 'character-device', path: 'null', metadata: plain, major: 1, minor: 3 })
  writeFile(writer, 'na\xefve', plain, Buffer.from('not UTF-8'))
  writeFile(writer, 'large', plain, Buffer.alloc(300_000, 'x'))
  writer.entry({ kind: 'file', path: 'sparse', metadata: plain, size: 400_000 })
  writer.hole(399_999)
  writer.content(Buffer.from('!'))
  writer.endFile()
  staging.commit()
  return writer.entries
}

function writeFile(writer: LayerWriter, path: string, fileMetadata: Metadata, content: Buffer): void {
  writer.entry({ kind: 'file', path, metadata: fileMetadata, size: content.length })
  for (let at = 0; at < content.length; at += 100_000) writer.content(content.subarray(at, at + 100_000))
  writer.endFile()
}

async function checkedOut(folder: string, method: CheckoutMethod, shared = true): Promise<string> {
  const store = join(folder, 'store')
  const tree = mergeLayers([sampleLayer(store)])
  const target = join(folder, 'rootfs')
  await checkOutInThreads(store, tree, { target, method, shared }, running())
  return target
}

describe('checkOut', () => {
  for (const method of ['auto', 'hardlink', 'copy'] as const) {
    it(`makes every kind of inode with all its attributes by ${method}`, async () => {
      using folder = scratch()
      const root = await checkedOut(folder.path, method)
      const ping = lstatSync(join(root, 'bin/ping'), { bigint: true })
      assert.equal(ping.mode & 0o7777n, 0o4755n)
      assert.deepEqual([ping.uid, ping.gid, ping.mtimeNs], [1234n, 4_294_967_294n, -2_876_543_211n])
      assert.deepEqual(extendedAttributes(Buffer.from(join(root, 'bin/ping'))).get('security.capability'), capability)
      assert.equal(lstatSync(join(root, 'bin/ping6'), { bigint: true }).ino, ping.ino)
      assert.equal(lstatSync(join(root, 'bin')).mode & 0o7777, 0o1777)
      assert.equal(lstatSync(join(root, 'bin'), { bigint: true }).mtimeNs, -2_876_543_211n)
      assert.equal(readlinkSync(join(root, 'sbin')), 'bin')
      assert.equal(lstatSync(join(root, 'sbin'), { bigint: true }).mtimeNs, -2_876_543_211n)
      assert.ok(lstatSync(join(root, 'pipe')).isFIFO())
      assert.equal(statSync(join(root, 'null')).rdev, 0x103)
      assert.equal(
        readFileSync(Buffer.concat([Buffer.from(`${root}/`), pathBytes('na\xefve')])).toString(),
        'not UTF-8',
      )
      assert.ok(readFileSync(join(root, 'large')).equals(Buffer.alloc(300_000, 'x')))
      assert.equal(readFileSync(join(root, 'sparse')).at(-1), 33)
      if (method === 'hardlink') assert.ok(statSync(join(root, 'sparse')).blocks < 100, 'the hole is not stored')
    })
  }

  it('shares inodes with the store by hard link, and never by copy', async () => {
    using linked = scratch()
    using copied = scratch()
    assert.ok(lstatSync(join(await checkedOut(linked.path, 'hardlink'), 'large')).nlink > 1)
    assert.equal(lstatSync(join(await checkedOut(copied.path, 'copy'), 'large')).nlink, 1)
  })

  for (const method of ['auto', 'hardlink', 'copy'] as const) {
    it(`gives files that are alike, and are no hard links in the image, inodes of their own by ${method}`, async () => {
      using folder = scratch()
      const store = join(folder.path, 'store')
      using staging = openStaging(store)
      using writer = collectingWriter(store, staging.openFolder())
      for (const path of ['one', 'other']) writeFile(writer, path, plain, Buffer.from('alike'))
      writer.entry({ kind: 'hardlink', path: 'link', metadata: plain, target: 'other' })
      staging.commit()
      const target = join(folder.path, 'rootfs')
      await checkOutInThreads(store, mergeLayers([writer.entries]), { target, method, shared: true }, running())
      const inode = (name: string) => lstatSync(join(target, name)).ino
      assert.notEqual(inode('one'), inode('other'))
      assert.equal(inode('other'), inode('link'))
    })
  }

  it('does not share inodes by auto when the root is to be writable', async () => {
    using folder = scratch()
    assert.equal(lstatSync(join(await checkedOut(folder.path, 'auto', false), 'large')).nlink, 1)
  })

  it('says that capabilities are none when they are of no form that the kernel knows', () => {
    using folder = scratch()
    const broken = { ...metadata, xattrs: new Map([['security.capability', Buffer.from('none')]]) }
    using staging = openStaging(folder.path)
    using writer = collectingWriter(folder.path, staging.openFolder())
    assert.throws(() => writeFile(writer, 'ping', broken, Buffer.from('x')), {
      name: 'ForerunError',
      code: 'layer',
      message: /'security\.capability' of 'ping' cannot be set \(EINVAL\)/,
    })
  })

  it('names the file whose object the store has lost', async () => {
    using folder = scratch()
    const store = join(folder.path, 'store')
    const entries = sampleLayer(store)
    for (const entry of entries) if (entry.kind === 'file') rmSync(objectPath(store, entry.object))
    const options = { target: join(folder.path, 'r'), method: 'hardlink', shared: true } as const
    await assert.rejects(checkOutInThreads(store, mergeLayers([entries]), options, running()), {
      code: 'store',
      message: /lost the object of '.*bin\/ping'/,
    })
  })

  it('makes an empty file for a mount to cover', async () => {
    using folder = scratch()
    const tree = mergeLayers([])
    tree.children.set('hosts', placeholder())
    const target = join(folder.path, 'rootfs')
    await checkOutInThreads(folder.path, tree, { target, method: 'auto', shared: true }, running())
    assert.equal(readFileSync(join(target, 'hosts'), 'utf8'), '')
  })

  it('takes over nothing that an administrator has set on the folder above', async () => {
    using folder = scratch()
    const store = join(folder.path, 'store')
    const tree = mergeLayers([sampleLayer(store)])
    // Default entries: rwx for the owner, a user, and all that may be granted; r-x for others.
    const entries = [
      [1, 7, -1],
      [2, 7, 1234],
      [4, 5, -1],
      [16, 7, -1],
      [32, 5, -1],
    ]
    const list = Buffer.alloc(4 + 8 * entries.length)
    list.writeUInt32LE(2)
    for (const [index, [tag = 0, permissions = 0, id = 0]] of entries.entries()) {
      list.writeUInt16LE(tag, 4 + 8 * index)
      list.writeUInt16LE(permissions, 6 + 8 * index)
      list.writeInt32LE(id, 8 + 8 * index)
    }
    setExtendedAttribute(Buffer.from(folder.path), Buffer.from('system.posix_acl_default'), list)
    const target = join(folder.path, 'rootfs')
    for (const method of ['copy', 'hardlink'] as const) {
      await checkOutInThreads(store, tree, { target, method, shared: true }, running())
      for (const name of ['', 'bin', 'bin/ping', 'large', 'pipe']) {
        const attributes = [...extendedAttributes(Buffer.from(join(target, name))).keys()]
        assert.deepEqual(
          attributes.filter((each) => each.startsWith('system.')),
          [],
          `${method} ${name}`,
        )
      }
      rmSync(target, { recursive: true })
    }
  })

  it('ends when the signal is raised', async () => {
    using folder = scratch()
    const options = { target: join(folder.path, 'r'), method: 'auto', shared: true } as const
    const interrupted = running(AbortSignal.abort())
    await assert.rejects(checkOutInThreads(folder.path, mergeLayers([]), options, interrupted), { code: 'interrupted' })
  })
})

describe('openStaging', () => {
  it('writes to the disk until it is interrupted, and can be committed afterwards', async () => {
    using folder = scratch()
    using staging = openStaging(folder.path)
    using writer = collectingWriter(folder.path, staging.openFolder())
    writeFile(writer, 'file', plain, Buffer.from('content'))
    await assert.rejects(staging.flush(AbortSignal.abort()), { code: 'interrupted' })
    await staging.flush(new AbortController().signal)
    staging.commit()
    const [entry] = writer.entries
    assert.equal(readFileSync(objectPath(folder.path, entry?.kind === 'file' ? entry.object : ''), 'utf8'), 'content')
  })

  it('shows nothing in the store before it is committed, and leaves nothing when it is not', () => {
    using folder = scratch()
    {
      using staging = openStaging(folder.path)
      using writer = collectingWriter(folder.path, staging.openFolder())
      writeFile(writer, 'a', plain, Buffer.from('a'))
    }
    assert.deepEqual(readdirSync(folder.path), [])
  })

  it('keeps one object for two files that are alike, and two for files that differ in an attribute', () => {
    using folder = scratch()
    using staging = openStaging(folder.path)
    const waiting = staging.openFolder()
    using writer = collectingWriter(folder.path, waiting)
    writeFile(writer, 'a', plain, Buffer.from('same'))
    writeFile(writer, 'b', plain, Buffer.from('same'))
    writeFile(writer, 'c', metadata, Buffer.from('same'))
    const [a, b, c] = writer.entries.map((entry) => (entry.kind === 'file' ? entry.object : ''))
    assert.equal(a, b)
    assert.notEqual(a, c)
    assert.equal(readdirSync(waiting).length, 2)
  })
})
