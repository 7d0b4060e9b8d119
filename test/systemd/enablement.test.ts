import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { enablementLinks, linksTo } from '../../src/systemd/enablement.ts'
import { ensurePackages } from '../lab/packages.ts'

before(() => ensurePackages(['systemd']))

const etc = '/etc/systemd/system'
const { signal } = new AbortController()
const service = '[Service]\nExecStart=/bin/true\n'

async function links(files: Record<string, string>): Promise<string[]> {
  const texts = new Map(
    Object.entries(files).map(([name, install]) => [`${etc}/${name}`, `${service}[Install]\n${install}`]),
  )
  const found = await enablementLinks(Object.keys(files)[0] ?? '', texts, { signal })
  return found.map(({ path, target }) => `${path.replace(`${etc}/`, '')} -> ${target.replace(`${etc}/`, '')}`)
}

test('WantedBy, RequiredBy and Alias are links to the unit; nothing of it is left in a temporary place', async () => {
  const before = readdirSync('/run')
  const install = 'WantedBy=multi-user.target\nRequiredBy=basic.target docker.service\nAlias=kv.service\n'
  assert.deepEqual(await links({ 'etcd.service': install }), [
    'basic.target.requires/etcd.service -> etcd.service',
    'docker.service.requires/etcd.service -> etcd.service',
    'kv.service -> etcd.service',
    'multi-user.target.wants/etcd.service -> etcd.service',
  ])
  assert.deepEqual(
    readdirSync('/run').filter((name) => name.startsWith('forerun-enable-') && !before.includes(name)),
    [],
  )
})

test('specifiers are expanded', async () => {
  assert.deepEqual(await links({ 'etcd.service': 'Alias=%N-of-%p.service\n' }), [
    'etcd-of-etcd.service -> etcd.service',
  ])
})

test('a unit that is enabled too brings its own links', async () => {
  const files = { 'etcd.service': 'Also=etcd.socket\n', 'etcd.socket': 'WantedBy=sockets.target\n' }
  assert.deepEqual(await links(files), ['sockets.target.wants/etcd.socket -> etcd.socket'])
})

test('a unit without [Install] has none', async () => {
  assert.deepEqual(await enablementLinks('a.service', new Map([[`${etc}/a.service`, service]]), { signal }), [])
})

test('what systemd refuses is told in its words', async () => {
  await assert.rejects(links({ 'etcd.service': 'Alias=etcd.socket\n' }), { code: 'unit', message: /etcd\.socket/ })
})

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
