import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { securityModules } from '../../src/host/security-modules.ts'

/** A folder with what the kernel would show. */
function host(files: Readonly<Record<string, string>>): { root: string } & Disposable {
  const root = mkdtempSync(join(tmpdir(), 'forerun-modules-'))
  for (const [path, text] of Object.entries({ 'proc/self/mountinfo': '', ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true }) }
}

const selinuxfs = (options: string): string =>
  `25 1 8:1 / / rw - ext4 /dev/sda1 rw\n34 25 0:22 / /sys/fs/selinux ${options} - selinuxfs selinuxfs rw\n`

for (const [what, files, selinux] of [
  ['with a policy', { 'proc/self/mountinfo': selinuxfs('rw,relatime'), 'proc/self/attr/current': 'a:b:c:s0\0' }, true],
  ['without a policy', { 'proc/self/mountinfo': selinuxfs('rw'), 'proc/self/attr/current': 'kernel\0' }, false],
  ['shown read-only', { 'proc/self/mountinfo': selinuxfs('ro'), 'proc/self/attr/current': 'a:b:c:s0\0' }, false],
  ['not mounted', { 'proc/self/attr/current': 'a:b:c:s0\0' }, false],
] as const) {
  test(`SELinux ${what} is ${selinux ? '' : 'not '}in force`, () => {
    using made = host(files)
    assert.equal(securityModules(made.root).selinux, selinux)
  })
}

for (const [what, files, apparmor] of [
  ['enabled', { 'sys/kernel/security/apparmor/profiles': '', 'sys/module/apparmor/parameters/enabled': 'Y\n' }, true],
  ['disabled', { 'sys/kernel/security/apparmor/profiles': '', 'sys/module/apparmor/parameters/enabled': 'N\n' }, false],
  ['out of reach', { 'sys/module/apparmor/parameters/enabled': 'Y\n' }, false],
] as const) {
  test(`AppArmor that is ${what} is ${apparmor ? '' : 'not '}in force`, () => {
    using made = host(files)
    assert.equal(securityModules(made.root).apparmor, apparmor)
  })
}
