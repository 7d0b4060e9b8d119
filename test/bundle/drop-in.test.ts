import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderDropIn } from '../../src/bundle/drop-in.ts'
import { parseUnit, unitValue } from '../../src/bundle/unit-file.ts'

const etcd = { name: 'etcd', destination: '/var/lib/forerun/containers/etcd.0', runtime: '/usr/bin/runc' }

function dropIn(service: typeof etcd, unitText: string): string[][] {
  return parseUnit(renderDropIn(service, unitText)).map(({ section, key, value }) => [section, key, value])
}

test('the drop-in delegates, needs the checkout, and deletes a stale runtime state', () => {
  assert.deepEqual(dropIn(etcd, '[Service]\nExecStart=/opt/something else\n'), [
    ['Unit', 'RequiresMountsFor', '/var/lib/forerun/containers/etcd.0'],
    ['Service', 'Delegate', 'yes'],
    ['Service', 'ExecStartPre', '-/usr/bin/runc delete --force etcd'],
    ['Service', 'SyslogIdentifier', 'etcd'],
  ])
})

test('the runtime is started in a group of its own, and nothing else is', () => {
  const unitText = `[Service]
ExecStart=/bin/forgotten
ExecStart=
ExecStart=/bin/first
ExecStart=-/usr/bin/runc run etcd \${MORE}
SyslogIdentifier=mine
`
  const settings = dropIn(etcd, unitText).slice(3)
  assert.deepEqual(settings.slice(0, 2), [
    ['Service', 'ExecStart', ''],
    ['Service', 'ExecStart', '/bin/first'],
  ])
  const [, , command = ''] = settings[2] ?? []
  assert.match(command, /^-\/bin\/sh -c '[^']*exec "\$\$@"' sh \/usr\/bin\/runc run etcd \$\{MORE\}$/)
  assert.match(command, /echo \$\$\$\$ >"\$\$g\/cgroup\.procs"/)
  assert.equal(settings.length, 3)
})

test('paths with spaces and percent signs reach systemd as they are', () => {
  const service = { name: 'etcd', destination: '/srv/my data/100%', runtime: '/opt/oci run/runc' }
  const unit = parseUnit(renderDropIn(service, '[Service]\nExecStart="/opt/oci run/runc" run etcd\n'))
  assert.equal(unitValue(unit, 'Unit', 'RequiresMountsFor'), '"/srv/my data/100%%"')
  assert.equal(unitValue(unit, 'Service', 'ExecStartPre'), '"-/opt/oci run/runc" delete --force etcd')
  assert.match(unitValue(unit, 'Service', 'ExecStart') ?? '', /sh "\/opt\/oci run\/runc" run etcd$/)
})
