import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unitCgroup } from '../../src/bundle/unit-cgroup.ts'

for (const [unit, name, path] of [
  ['[Service]\nType=simple\n', 'etcd', '/system.slice/etcd.service'],
  ['[Service]\nSlice=a-b.slice\n', 'etcd', '/a.slice/a-b.slice/etcd.service'],
  ['[Service]\nSlice=system-my\\x2dapp.slice\n', 'etcd', '/system.slice/system-my\\x2dapp.slice/etcd.service'],
  ['[Service]\nSlice=-.slice\n', 'etcd', '/etcd.service'],
  ['[Service]\nSlice=a.slice\nSlice=\n', 'etcd', '/system.slice/etcd.service'],
  ['', 'memory', '/system.slice/_memory.service'],
  ['', 'memory-cache', '/system.slice/memory-cache.service'],
  ['[Service]\nSlice=cpu.slice\n', 'cgroup.x', '/_cpu.slice/_cgroup.x.service'],
] as const) {
  test(`the service ${name} of ${JSON.stringify(unit)} is in ${path}`, () => {
    assert.equal(unitCgroup([unit], name), path)
  })
}
