import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { before, test } from 'node:test'
import { enablementLinks } from '../../src/systemd/enablement.ts'
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
  const install = 'WantedBy=multi-user.target\nRequiredBy=basic.target docker.service\nAlias=kv.service\n'
  assert.deepEqual(await links({ 'etcd.service': install }), [
    'basic.target.requires/etcd.service -> etcd.service',
    'docker.service.requires/etcd.service -> etcd.service',
    'kv.service -> etcd.service',
    'multi-user.target.wants/etcd.service -> etcd.service',
  ])
  assert.deepEqual(
    readdirSync('/run').filter((name) => name.startsWith('forerun-enable-')),
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
