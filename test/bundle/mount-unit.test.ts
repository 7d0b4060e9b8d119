import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountUnitName, renderMountUnit } from '../../src/bundle/mount-unit.ts'
import { parseUnit } from '../../src/bundle/unit-file.ts'

const etcd = { name: 'etcd', destination: '/var/lib/forerun/containers/etcd.0' }

test('the unit of a writable root has an upper folder that is tied to no inode below', () => {
  const unit = renderMountUnit(etcd, { kind: 'writable', keepChanges: true })
  assert.equal(unit.name, 'var-lib-forerun-containers-etcd.0-rootfs.mount')
  assert.deepEqual(
    parseUnit(unit.text).map(({ section, key, value }) => [section, key, value]),
    [
      ['Unit', 'Description', 'Root file system of etcd'],
      ['Unit', 'DefaultDependencies', 'no'],
      ['Unit', 'RequiresMountsFor', etcd.destination],
      ['Unit', 'After', 'systemd-remount-fs.service'],
      ['Unit', 'Before', 'etcd.service umount.target'],
      ['Unit', 'Conflicts', 'umount.target'],
      ['Mount', 'What', 'overlay'],
      ['Mount', 'Where', `${etcd.destination}/rootfs`],
      ['Mount', 'Type', 'overlay'],
      [
        'Mount',
        'Options',
        ['lowerdir=D/checkout', 'upperdir=D/upper', 'workdir=D/work', 'index=off', 'metacopy=off', 'redirect_dir=off']
          .concat('xino=off')
          .join()
          .replaceAll('D/', `${etcd.destination}/`),
      ],
    ],
  )
})

test('the unit of a read-only root has nowhere to write to', () => {
  const { text } = renderMountUnit(etcd, { kind: 'read-only', keepChanges: false })
  assert.match(text, /^Options=ro,lowerdir=[^ :,]*\/checkout:[^ :,]*\/empty$/m)
})

test('names of units are what systemd makes of paths', () => {
  // From `systemd-escape --path`.
  const names = {
    '/': '-',
    '/a//b/': 'a-b',
    '/.hidden/.b': '\\x2ehidden-.b',
    '/srv/my data/100%': 'srv-my\\x20data-100\\x25',
    '/a-b/ü': 'a\\x2db-\\xc3\\xbc',
    '/x:y_z.0': 'x:y_z.0',
    '/back\\slash': 'back\\x5cslash',
  }
  for (const [path, name] of Object.entries(names)) assert.equal(mountUnitName(path), `${name}.mount`)
})

test('spaces and percent signs of a path reach systemd as they are', () => {
  const { text } = renderMountUnit(
    { name: 'a', destination: '/srv/my data/100%' },
    { kind: 'writable', keepChanges: false },
  )
  assert.match(text, /^RequiresMountsFor="\/srv\/my data\/100%%"$/m)
  assert.match(text, /^Where=\/srv\/my data\/100%%\/rootfs$/m)
  assert.match(text, /^Options=lowerdir=\/srv\/my data\/100%%\/checkout,/m)
})

for (const [path, character] of [
  ['/a,b', '","'],
  ['/a:b', '":"'],
  ['/a\\b', '"\\\\"'],
  ['/a\nb', '"\\n"'],
] as const) {
  test(`a path with ${character} is refused, since options of the mount could not hold it`, () => {
    assert.throws(() => renderMountUnit({ name: 'a', destination: path }, { kind: 'writable', keepChanges: false }), {
      code: 'checkout',
      message: `no overlay can be mounted in '${path}': the path has ${character}`,
    })
  })
}

test('a name too long for a unit is refused', () => {
  assert.doesNotThrow(() => mountUnitName(`/${'a'.repeat(249)}`))
  assert.throws(() => mountUnitName(`/${'a'.repeat(250)}`), { code: 'checkout', message: /too long for systemd/ })
})
