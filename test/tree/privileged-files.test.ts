import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DirectoryNode, TreeNode } from '../../src/tree/node.ts'
import { privilegedFiles } from '../../src/tree/privileged-files.ts'

function metadata(mode: number, xattrs: readonly string[] = []) {
  return {
    mode,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0, nanoseconds: 0 },
    xattrs: new Map(xattrs.map((name) => [name, Buffer.alloc(1)])),
  }
}

function file(mode: number, ...xattrs: string[]): TreeNode {
  return { kind: 'file', metadata: metadata(mode, xattrs), size: 0, object: 'x' }
}

function folder(mode: number, children: Record<string, TreeNode>): DirectoryNode {
  return { kind: 'directory', metadata: metadata(mode), children: new Map(Object.entries(children)) }
}

test('programs that give privileges are found wherever they are; other special bits are not', () => {
  const bin = folder(0o2755, {
    su: file(0o4755),
    wall: file(0o2755),
    ping: file(0o755, 'security.capability'),
    sh: file(0o755, 'user.note'),
    locked: file(0o2640),
  })
  assert.deepEqual(privilegedFiles(folder(0o755, { usr: folder(0o1777, { bin }), su: file(0o4000) })), [
    '/usr/bin/su',
    '/usr/bin/wall',
    '/usr/bin/ping',
    '/su',
  ])
})

test('programs for the host are not of the container', () => {
  const exports = folder(0o755, { hostfs: folder(0o755, { su: file(0o4755) }) })
  assert.deepEqual(privilegedFiles(folder(0o755, { exports, srv: folder(0o755, { exports }) })), [
    '/srv/exports/hostfs/su',
  ])
})
