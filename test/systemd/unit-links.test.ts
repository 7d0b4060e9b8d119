import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { unitLinks } from '../../src/systemd/unit-links.ts'

async function unitDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'forerun-units-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('the links that enable a unit are found: wanted, required, upheld, and aliases', async () => {
  await using directory = await unitDirectory()
  const { path } = directory
  await writeFile(join(path, 'etcd.service'), '')
  const expected = [
    { path: join(path, 'basic.target.requires/etcd.service'), target: '../etcd.service' },
    { path: join(path, 'kv.service'), target: join(path, 'etcd.service') },
    { path: join(path, 'multi-user.target.wants/etcd.service'), target: '/etc/systemd/system/etcd.service' },
    { path: join(path, 'multi-user.target.wants/kv.service'), target: '../etcd.service' },
    { path: join(path, 'x.service.upholds/etcd.service'), target: '/gone/other.service' },
  ]
  for (const link of expected) {
    await mkdir(join(link.path, '..'), { recursive: true })
    await symlink(link.target, link.path)
  }
  assert.deepEqual(await unitLinks('etcd.service', path), expected)
})

test('links of other units, links in other directories and files are left out', async () => {
  await using directory = await unitDirectory()
  const { path } = directory
  for (const name of ['multi-user.target.wants', 'etcd.service.d', 'deeper.wants/x.wants'])
    await mkdir(join(path, name), { recursive: true })
  await symlink('/etc/systemd/system/etcd2.service', join(path, 'multi-user.target.wants/etcd2.service'))
  await symlink('/etc/systemd/system/my-etcd.service', join(path, 'my-etcd.service'))
  await symlink('../etcd.service', join(path, 'etcd.service.d/etcd.service'))
  await symlink('../etcd.service', join(path, 'deeper.wants/x.wants/etcd.service'))
  await writeFile(join(path, 'multi-user.target.wants/etcd.service'), 'a file, not a link')
  assert.deepEqual(await unitLinks('etcd.service', path), [])
})

test('a link to the unit file itself counts, as does a mask', async () => {
  await using directory = await unitDirectory()
  await symlink('/dev/null', join(directory.path, 'etcd.service'))
  assert.deepEqual(await unitLinks('etcd.service', directory.path), [
    { path: join(directory.path, 'etcd.service'), target: '/dev/null' },
  ])
})

test('no directory of unit files means no links', async () => {
  assert.deepEqual(await unitLinks('etcd.service', '/nonexistent/systemd'), [])
})

test('a directory that cannot be read is an error, not an empty answer', async () => {
  await using directory = await unitDirectory()
  const file = join(directory.path, 'file')
  await writeFile(file, '')
  await assert.rejects(unitLinks('etcd.service', file), { code: 'ENOTDIR' })
})
