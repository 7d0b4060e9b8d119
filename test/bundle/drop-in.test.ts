import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderDropIn, unitNotifyWay } from '../../src/bundle/drop-in.ts'
import { parseUnit, unitValue } from '../../src/bundle/unit-file.ts'

const etcd = {
  name: 'etcd',
  destination: '/var/lib/forerun/containers/etcd.0',
  runtime: '/usr/bin/runc',
  cgroup: '/system.slice/etcd.service',
  pidFile: '/run/container-etcd.pid',
  notifyWay: undefined,
}

/** Without the command that looks at the control group. */
function dropIn(service: Parameters<typeof renderDropIn>[0], unitText: string): string[][] {
  const settings = parseUnit(renderDropIn(service, unitText)).map(({ section, key, value }) => [section, key, value])
  return settings.filter(([, , value = '']) => !value.endsWith(' sh /system.slice/etcd.service'))
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

for (const [command, started] of [
  [':/usr/bin/runc run "$x"', ':/bin/sh -c \'DOLLAR\' sh /usr/bin/runc run "$x"'],
  ['-:/usr/bin/runc run x', "-:/bin/sh -c 'DOLLAR' sh /usr/bin/runc run x"],
  ['@/usr/bin/runc "my name" run x', "/bin/sh -c 'DOUBLED' sh /usr/bin/runc run x"],
  ['"-/usr/bin/runc" run x', "-/bin/sh -c 'DOUBLED' sh /usr/bin/runc run x"],
  ['/usr/bin//runc run x', "/bin/sh -c 'DOUBLED' sh /usr/bin/runc run x"],
  ['runc run x', "/bin/sh -c 'DOUBLED' sh /usr/bin/runc run x"],
] as const) {
  test(`the command ${command} is started in a group of its own`, () => {
    const settings = dropIn(etcd, `[Service]\nExecStart=${command}\n`)
    const [, , written = ''] = settings.at(-1) ?? []
    const script = /'([^']*)'/.exec(written)?.[1] ?? ''
    const isDoubled = started.includes('DOUBLED')
    assert.match(script, isDoubled ? /echo \$\$\$\$ >"\$\$g.*exec "\$\$@"$/ : /echo \$\$ >"\$g[^$]*exec "\$@"$/)
    assert.equal(written.replace(script, isDoubled ? 'DOUBLED' : 'DOLLAR'), started)
  })
}

test('a runtime whose path has a dollar sign is an argument of the shell', () => {
  const service = { ...etcd, runtime: '/opt/$x/runc' }
  for (const [command, end] of [
    ['/opt/$x/runc run x', ' sh /opt/$$x/runc run x'],
    [':/opt/$x/runc run x', ' sh /opt/$x/runc run x'],
  ] as const) {
    const [, , written = ''] = dropIn(service, `[Service]\nExecStart=${command}\n`).at(-1) ?? []
    assert.equal(written.slice(-end.length), end)
  }
})

test('paths with spaces and percent signs reach systemd as they are', () => {
  const service = { ...etcd, destination: '/srv/my data/100%', runtime: '/opt/oci run/runc' }
  const unit = parseUnit(renderDropIn(service, '[Service]\nExecStart="/opt/oci run/runc" run etcd\n'))
  assert.equal(unitValue(unit, 'Unit', 'RequiresMountsFor'), '"/srv/my data/100%%"')
  assert.ok(unit.some(({ value }) => value === '"-/opt/oci run/runc" delete --force etcd'))
  assert.match(unitValue(unit, 'Service', 'ExecStart') ?? '', /sh "\/opt\/oci run\/runc" run etcd$/)
})

test('a container that notifies is created before it is started, and its own process is the main one', () => {
  const settings = dropIn(
    { ...etcd, notifyWay: 'runtime' },
    '[Service]\nType=notify\nExecStart=/usr/bin/runc run etcd\n',
  )
  assert.deepEqual(settings.slice(4, 6), [
    ['Service', 'PIDFile', '/run/container-etcd.pid'],
    ['Service', 'ExecStopPost', '-/usr/bin/runc delete --force etcd'],
  ])
  const [, , command = ''] = settings.at(-1) ?? []
  assert.match(
    command,
    / sh \/bin\/sh -c '"\$\$0" create --pid-file "\$\$1" "\$\$2" && exec "\$\$0" start "\$\$2"' \/usr\/bin\/runc \/run\/container-etcd\.pid etcd$/,
  )
})

test('a container that has the socket of systemd is heard, and its runtime does not know of the socket', () => {
  const settings = dropIn({ ...etcd, notifyWay: 'container' }, '[Service]\nExecStart=/usr/bin/runc run etcd\n')
  assert.deepEqual(settings.slice(4, 6), [
    ['Service', 'NotifyAccess', 'all'],
    ['Service', 'UnsetEnvironment', 'NOTIFY_SOCKET'],
  ])
  assert.match(settings.at(-1)?.[2] ?? '', / sh \/usr\/bin\/runc run etcd$/)
})

const shared = [{ destination: '/run', type: 'bind', source: '/run', options: ['rbind', 'rshared'] }]
for (const [what, service, mounts, way] of [
  ['Type=notify', 'Type=notify', [], 'runtime'],
  ['Type=notify with NotifyAccess=all', 'Type=notify\nNotifyAccess=all', [], 'runtime'],
  ['Type=notify where the container sees /run of the host', 'Type=notify', shared, 'container'],
  ['a watchdog', 'Type=notify\nWatchdogSec=10', [], 'container'],
  ['a watchdog that is off', 'Type=notify\nWatchdogSec=0', [], 'runtime'],
  ['descriptors that are stored', 'Type=notify\nFileDescriptorStoreMax=3', [], 'container'],
  ['Type=notify-reload', 'Type=notify-reload', [], 'container'],
  ['Type=notify with a pid file of its own', 'Type=notify\nPIDFile=/run/own.pid', [], 'container'],
  ['Type=simple with NotifyAccess=main', 'NotifyAccess=main', [], 'container'],
  ['Type=simple', 'Type=simple', [], undefined],
  ['Type=forking', 'Type=forking\nNotifyAccess=none', [], undefined],
] as const) {
  test(`with ${what} the way to systemd is ${way === undefined ? 'none' : `that of the ${way}`}`, () => {
    const unit = parseUnit(`[Service]\n${service}\nExecStart=/usr/bin/runc run etcd\n`)
    assert.equal(
      unitNotifyWay(
        unit,
        mounts.map((mount) => ({ ...mount, options: [...mount.options] })),
        etcd,
      ),
      way,
    )
  })
}

test('a runtime with options of the image, or in a script of it, is not started another way', () => {
  const way = (command: string) => unitNotifyWay(parseUnit(`[Service]\nType=notify\nExecStart=${command}\n`), [], etcd)
  assert.equal(way('/usr/bin/runc run --no-pivot etcd'), 'container')
  assert.equal(way('/bin/bash -c "/usr/bin/runc run etcd"'), undefined)
})
