import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRuntimeConfiguration } from '../../src/bundle/runtime-configuration.ts'
import { unitResources } from '../../src/bundle/unit-resources.ts'

function configured(resources: object) {
  const json = {
    ociVersion: '1.0.2',
    process: { cwd: '/', args: ['x'], user: { uid: 0, gid: 0 } },
    root: { path: 'rootfs', readonly: true },
    linux: { namespaces: [{ type: 'pid' }], resources },
  }
  return parseRuntimeConfiguration(json, 'config.json')
}

test('limits become settings of the unit and leave the configuration', () => {
  const { configuration, settings } = unitResources(
    configured({
      devices: [{ allow: false, access: 'rwm' }],
      memory: { limit: 1000, reservation: 500, swap: 1500 },
      pids: { limit: 64 },
      cpu: { shares: 1024, quota: 50_000, period: 100_000, cpus: '0-1', mems: '0' },
      blockIO: { weight: 500, leafWeight: 10 },
      unified: { 'memory.high': 'max', 'hugetlb.2MB.max': '0' },
    }),
  )
  assert.deepEqual(Object.fromEntries(settings), {
    MemoryMax: '1000',
    MemoryLow: '500',
    MemorySwapMax: '500',
    TasksMax: '64',
    CPUWeight: '39',
    CPUQuota: '50%',
    CPUQuotaPeriodSec: '100000us',
    AllowedCPUs: '0-1',
    AllowedMemoryNodes: '0',
    IOWeight: '4950',
    MemoryHigh: 'infinity',
  })
  assert.deepEqual(configuration.linux?.resources, {
    devices: [{ allow: false, access: 'rwm' }],
    blockIO: { leafWeight: 10 },
    unified: { 'hugetlb.2MB.max': '0' },
  })
  assert.deepEqual(configuration.linux?.namespaces, [{ type: 'pid' }])
})

test('no limit is no limit on the unit either', () => {
  const { settings } = unitResources(
    configured({ memory: { limit: -1, swap: -1 }, pids: { limit: -1 }, cpu: { quota: -1 } }),
  )
  assert.deepEqual(settings, [
    ['MemoryMax', 'infinity'],
    ['MemorySwapMax', 'infinity'],
    ['TasksMax', 'infinity'],
  ])
})

test('a configuration without resources is left alone', () => {
  const { linux: _, ...plain } = configured({})
  assert.deepEqual(unitResources(plain), { configuration: plain, settings: [] })
})
