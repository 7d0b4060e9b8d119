import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hostPower, tmpfilesPower } from '../../src/bundle/host-power.ts'

const unit = 'flannel.service'

function powerOf(path: string, place: Partial<Parameters<typeof hostPower>[0]> = {}): string {
  return hostPower({ path, kind: 'file', mode: 0o644, uid: 0, ...place }, { unit }).join('; ')
}

/** A path for each reason, and the reason. */
const powerful: [path: string, reason: string][] = [
  ['/etc/ld.so.preload', 'is loaded into every program'],
  ['/etc/ld.so.conf.d/x.conf', 'says where programs find their libraries'],
  ['/lib/x86_64-linux-gnu/security/pam_x.so', 'decides who may log in'],
  ['/lib/x86_64-linux-gnu/libc.so.6', 'is a library of programs'],
  ['/usr/local/lib/libssl.so', 'is a library of programs'],
  ['/etc/sudoers.d/x', 'decides who may become root'],
  ['/etc/doas.conf', 'decides who may become root'],
  ['/root/.ssh/authorized_keys', 'decides who may log in'],
  ['/home/ann/.ssh/authorized_keys2', 'decides who may log in'],
  ['/etc/ssh/sshd_config.d/x.conf', 'decides who may log in'],
  ['/etc/pam.d/su', 'decides who may log in'],
  ['/etc/security/limits.conf', 'decides who may log in'],
  ['/etc/shadow', 'says who the users are'],
  ['/usr/lib/sysusers.d/x.conf', 'makes users'],
  ['/etc/polkit-1/rules.d/x.rules', 'decides who may do what'],
  ['/usr/share/dbus-1/system.d/x.conf', 'decides who may call which service'],
  ['/etc/apparmor.d/x', 'decides what programs may do'],
  ['/etc/crontab', 'is run by cron'],
  ['/etc/cron.daily/x', 'is run by cron'],
  ['/var/spool/cron/crontabs/root', 'is run by cron'],
  ['/lib/systemd/system-generators/x', 'is run as root when the host boots'],
  ['/usr/lib/systemd/system-shutdown/x', 'is run as root when the host sleeps or stops'],
  ['/etc/systemd/system-preset/x.preset', 'decides which units start'],
  ['/etc/systemd/system/multi-user.target.wants/x.service', 'starts a unit'],
  ['/usr/local/lib/systemd/system/x.service', 'is a unit of systemd'],
  ['/lib/systemd/system/x.service', 'is a unit of systemd'],
  ['/etc/systemd/system/docker.service.d/flannel.conf', 'changes the unit docker.service'],
  ['/usr/lib/systemd/system/service.d/x.conf', 'changes the unit service'],
  ['/etc/systemd/system.conf.d/x.conf', 'changes how systemd works'],
  ['/etc/rc.local', 'is run as root when the host boots'],
  ['/usr/lib/tmpfiles.d/x.conf', 'makes and changes files as root at every boot'],
  ['/etc/udev/rules.d/x.rules', 'is run as root when devices come and go'],
  ['/etc/modprobe.d/x.conf', 'loads modules into the kernel'],
  ['/lib/modules/6.1/extra/x.ko', 'is a module of the kernel'],
  ['/lib/firmware/x', 'is loaded into a device'],
  ['/etc/sysctl.d/x.conf', 'changes settings of the kernel'],
  ['/etc/binfmt.d/x.conf', 'says what runs programs'],
  ['/boot/grub/grub.cfg', 'is a part of the boot'],
  ['/usr/lib/dracut/modules.d/x/module-setup.sh', 'is a part of the boot'],
  ['/etc/fstab', 'mounts or exports file systems'],
  ['/etc/profile.d/x.sh', 'is read by every login'],
  ['/root/.bashrc', 'is read when that user logs in'],
  ['/etc/update-motd.d/x', 'is run as root at every login'],
  ['/etc/NetworkManager/dispatcher.d/x', 'is run as root when the network changes'],
  ['/etc/network/if-up.d/x', 'is run as root when the network changes'],
  ['/etc/logrotate.d/x', 'is run as root by logrotate'],
  ['/usr/share/containers/oci/hooks.d/x.json', 'is run as root beside every container'],
  ['/etc/apt/sources.list.d/x.list', 'decides which packages are trusted'],
  ['/usr/local/share/ca-certificates/x.crt', 'decides which certificates are trusted'],
  ['/etc/containers/policy.json', 'decides which images are trusted'],
  ['/etc/forerun/forerun.conf.d/x.conf', 'changes the settings of forerun'],
]

describe('a place where the host looks for programs, rights or trust', () => {
  for (const [path, reason] of powerful) {
    test(`${path} ${reason}`, () => {
      assert.equal(powerOf(path), reason)
      assert.equal(powerOf(path, { kind: 'symlink' }), reason)
      assert.equal(powerOf(path, { kind: 'directory', mode: 0o755 }), '')
    })
  }
})

/** What system containers bring, and what only looks like one of the above. */
for (const path of [
  '/usr/local/bin/etcdctl',
  '/etc/etcd/etcd.conf',
  '/etc/kubernetes/config',
  '/etc/sysconfig/flanneld',
  '/opt/cni/bin/bridge',
  '/usr/lib/etcd/plugin.so',
  '/var/lib/etcd/etc/crontab',
  '/srv/etc/sudoers.d/x',
  '/etc/cni/net.d/10-flannel.conf',
  '/usr/share/man/man1/etcd.1',
  '/etc/sudoers_of_etcd',
  '/etc/profiles/x',
]) {
  test(`${path} gives no power over the host`, () => assert.equal(powerOf(path), ''))
}

test('a drop-in for the own unit changes nothing else', () => {
  assert.equal(powerOf(`/etc/systemd/system/${unit}.d/x.conf`), '')
  assert.equal(powerOf('/etc/systemd/system/flannel2.service.d/x.conf'), 'changes the unit flannel2.service')
})

test('modes that run a program as another user, or let every user change it', () => {
  assert.equal(powerOf('/usr/local/bin/x', { mode: 0o4755 }), 'set-uid: runs as root, whoever starts it')
  assert.equal(powerOf('/opt/x', { mode: 0o4755, uid: 7 }), 'set-uid: runs as user 7, whoever starts it')
  assert.equal(powerOf('/opt/x', { mode: 0o2755 }), 'set-gid: runs with the rights of its group, whoever starts it')
  assert.equal(powerOf('/etc/x', { mode: 0o666 }), 'every user may write to it')
  assert.equal(powerOf('/srv/x', { kind: 'directory', mode: 0o777 }), 'every user may write to it')
  assert.equal(powerOf('/srv/x', { kind: 'directory', mode: 0o1777 }), '')
  assert.equal(powerOf('/srv/x', { kind: 'directory', mode: 0o2775 }), '')
  assert.match(powerOf('/etc/cron.d/x', { mode: 0o4755 }), /^set-uid: .*; is run by cron$/)
})

test('a link in the place of a folder counts for what may be in it', () => {
  assert.equal(powerOf('/etc/sudoers.d', { kind: 'symlink' }), 'decides who may become root')
  assert.equal(powerOf('/etc/systemd/system/docker.service.d', { kind: 'symlink' }), 'changes the unit docker.service')
  assert.equal(powerOf('/etc//cron.d/../cron.d/x'), 'is run by cron')
})

test('lines of tmpfiles.d count for what they write, however the path is written', () => {
  const lines = [
    'd /var/lib/flannel 0755 0 0 - -',
    'f /etc/sudoers.d/x 0440 - - - flannel ALL=(ALL) NOPASSWD: ALL',
    'w+ "/etc/ld.so.preload" - - - - /x.so',
    'f /etc/cron\\x2ed/%m 0644 - - - x',
    'L+ /etc/profile.d - - - - /srv/x',
    'C /etc/pam.d - - - - /srv/x',
    'z /usr/bin/busybox 4755 root root - -',
    'D /srv/open 0777 - - - -',
    'x /etc/sudoers.d/y',
    '# f /etc/shadow',
  ]
  assert.deepEqual(
    tmpfilesPower(lines.join('\n'), { unit }).map(({ path, power }) => [path, ...power]),
    [
      ['/etc/sudoers.d/x', 'decides who may become root'],
      ['/etc/ld.so.preload', 'is loaded into every program'],
      ['/etc/cron.d/_', 'is run by cron'],
      ['/etc/profile.d', 'is read by every login'],
      ['/etc/pam.d', 'decides who may log in'],
      ['/usr/bin/busybox', 'set-uid: runs as root, whoever starts it'],
      ['/srv/open', 'every user may write to it'],
    ],
  )
})
