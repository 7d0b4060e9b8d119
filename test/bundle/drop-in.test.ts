import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderDropIn } from '../../src/bundle/drop-in.ts'
import { parseUnit, unitValue } from '../../src/bundle/unit-file.ts'

test('the drop-in delegates, needs the checkout, and deletes a stale runtime state', () => {
  const unit = parseUnit(
    renderDropIn({ name: 'etcd', destination: '/var/lib/forerun/containers/etcd', runtime: '/usr/bin/runc' }),
  )
  assert.deepEqual(
    unit.map(({ section, key, value }) => [section, key, value]),
    [
      ['Unit', 'RequiresMountsFor', '/var/lib/forerun/containers/etcd'],
      ['Service', 'Delegate', 'yes'],
      ['Service', 'ExecStartPre', '-/usr/bin/runc delete --force etcd'],
    ],
  )
})

test('paths with spaces and percent signs reach systemd as they are', () => {
  const unit = parseUnit(renderDropIn({ name: 'etcd', destination: '/srv/my data/100%', runtime: '/opt/oci run/runc' }))
  assert.equal(unitValue(unit, 'Unit', 'RequiresMountsFor'), '"/srv/my data/100%%"')
  assert.equal(unitValue(unit, 'Service', 'ExecStartPre'), '"-/opt/oci run/runc" delete --force etcd')
})
