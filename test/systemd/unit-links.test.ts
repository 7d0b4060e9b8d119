import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { linksTo } from '../../src/systemd/unit-links.ts'

async function unitDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'forerun-units-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('the links that lead to a unit file are found: wanted, required, upheld, and aliases; the file may be gone', async () => {
  await using directory = await unitDirectory()
  const { path } = directory
  const expected = {
    'basic.target.requires/etcd.service': '../etcd.service',
    'kv.service': join(path, 'etcd.service'),
    'multi-user.target.wants/etcd.service': join(path, 'etcd.service'),
    'multi-user.target.wants/kv.service': '../etcd.service',
    'x.service.upholds/etcd.service': '..//etcd.service',
  }
  for (const [name, target] of Object.entries(expected)) {
    await mkdir(join(path, name, '..'), { recursive: true })
    await symlink(target, join(path, name))
  }
  const links = Object.keys(expected).map((name) => join(path, name))
  assert.deepEqual(linksTo(join(path, 'etcd.service')), links)
})

test('links of the same name that lead to a unit of the host, links elsewhere and files are left out', async () => {
  await using directory = await unitDirectory()
  const { path } = directory
  for (const name of ['multi-user.target.wants', 'sysinit.target.wants', 'etcd.service.d', 'deeper.wants/x.wants'])
    await mkdir(join(path, name), { recursive: true })
  await symlink('/usr/lib/systemd/system/etcd.service', join(path, 'multi-user.target.wants/etcd.service'))
  await symlink(join(path, 'my-etcd.service'), join(path, 'my.service'))
  await symlink('../etcd.service', join(path, 'etcd.service.d/etcd.service'))
  await symlink('../../etcd.service', join(path, 'deeper.wants/x.wants/etcd.service'))
  await symlink('/dev/null', join(path, 'other.service'))
  await writeFile(join(path, 'sysinit.target.wants/etcd.service'), 'a file, not a link')
  assert.deepEqual(linksTo(join(path, 'etcd.service')), [])
})

test('no directory of unit files means no links', () => {
  assert.deepEqual(linksTo('/nonexistent/systemd/etcd.service'), [])
})

test('a directory that cannot be read is an error, not an empty answer', async () => {
  await using directory = await unitDirectory()
  const file = join(directory.path, 'file')
  await writeFile(file, '')
  assert.throws(() => linksTo(join(file, 'etcd.service')), { code: 'ENOTDIR' })
})
