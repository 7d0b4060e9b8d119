import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type BundleInput, prepareBundle } from '../../src/bundle/bundle.ts'
import { defaultCapabilities } from '../../src/bundle/default-isolation.ts'
import { defaultSeccomp } from '../../src/bundle/default-seccomp.ts'
import { formatJson } from '../../src/bundle/json-text.ts'
import { type PrivilegedService, servicePrivileges } from '../../src/bundle/privileges.ts'
import { readRenderedConfiguration } from '../../src/bundle/runtime-configuration.ts'
import type { RuntimeConfiguration } from '../../src/bundle/runtime-schema.ts'
import { imageConfiguration, imageFiles } from './image-in-memory.ts'

const folder = '/var/lib/forerun/containers/app.0'

const harmless = {
  ociVersion: '1.0.2',
  process: { cwd: '/', args: ['app'], user: { uid: 999, gid: 0 }, noNewPrivileges: true, apparmorProfile: 'app' },
  root: { path: 'rootfs', readonly: true },
  linux: {
    namespaces: ['pid', 'mount', 'ipc', 'network', 'uts', 'cgroup', 'user'].map((type) => ({ type })),
    uidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
    resources: { devices: [{ allow: false }] },
    seccomp: { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read', 'write'], action: 'SCMP_ACT_ALLOW' }] },
  },
}

function parsed(configuration: object): RuntimeConfiguration {
  return readRenderedConfiguration(formatJson(configuration), 'config.json')
}

/** `KEY`, or `! KEY` for power over the host, of what one change to a harmless service gives. */
function given(change: object, more: Partial<PrivilegedService> = {}): string[] {
  const { process = {}, linux = {}, ...rest } = change as Record<string, object>
  const configuration = parsed({
    ...harmless,
    process: { ...harmless.process, ...process },
    linux: { ...harmless.linux, ...linux },
    ...rest,
  })
  const before = new Set(keys(parsed(harmless), {}))
  return keys(configuration, more).filter((key) => !before.has(key))
}

function keys(configuration: RuntimeConfiguration, more: Partial<PrivilegedService>): string[] {
  const service = { name: 'app', folder, runtime: '/usr/bin/runc', configuration, unit: '', ...more }
  return servicePrivileges(service).map(({ kind, key, weight }) => `${weight === 'power' ? '! ' : ''}${kind} ${key}`)
}

function mounted(mount: object): string[] {
  return given({ mounts: [{ destination: '/x', type: 'bind', options: ['rbind', 'rw'], ...mount }] })
}

function unit(text: string, more: Partial<PrivilegedService> = {}): string[] {
  return given({}, { unit: text, ...more })
}

function service(lines: string, more: Partial<PrivilegedService> = {}): string[] {
  return unit(`[Service]\nWorkingDirectory=${folder}\n${lines}\n`, more)
}

describe('the configuration', () => {
  test('capabilities of all sets, with less weight in a user namespace', () => {
    const capabilities = { bounding: ['CAP_SYS_ADMIN'], ambient: ['CAP_CHOWN'], inheritable: ['CAP_CHOWN'] }
    const namespaces = harmless.linux.namespaces.filter(({ type }) => type !== 'user')
    assert.deepEqual(given({ process: { capabilities } }), [
      'capability CAP_CHOWN namespaced',
      'capability CAP_SYS_ADMIN namespaced',
    ])
    assert.deepEqual(given({ process: { capabilities }, linux: { namespaces } }), [
      '! capability CAP_SYS_ADMIN',
      'capability CAP_CHOWN',
      'user uid 999',
      'namespace user host',
    ])
    assert.deepEqual(
      given({ process: { capabilities: { bounding: ['CAP_FROM_LATER'] } }, linux: { namespaces } })[0],
      '! capability CAP_FROM_LATER',
    )
  })

  test('namespaces of the host, absent or joined', () => {
    const without = (type: string, path?: string) =>
      given({
        linux: {
          namespaces: harmless.linux.namespaces.flatMap((each) =>
            each.type !== type ? [each] : path === undefined ? [] : [{ type, path }],
          ),
        },
      })
    assert.deepEqual(without('pid'), ['! namespace pid host'])
    assert.deepEqual(without('pid', '/proc/1/ns/pid'), ['! namespace pid host'])
    assert.deepEqual(without('mount'), ['! namespace mount host'])
    assert.deepEqual(without('ipc'), ['! namespace ipc host'])
    assert.deepEqual(without('network'), ['namespace network host'])
    assert.deepEqual(without('network', '/run/netns/blue'), ['namespace network path /run/netns/blue'])
  })

  test('users, by the numbers of the host', () => {
    const user = (uid: number, gids: number[] = []) =>
      given({ process: { user: { uid, gid: 0, additionalGids: gids } } })
    assert.deepEqual(user(0), ['user uid 100000'])
    assert.deepEqual(user(999, [27]), ['user gid 27'])
    const uidMappings = [{ containerID: 0, hostID: 0, size: 1000 }]
    assert.deepEqual(given({ linux: { uidMappings } }), ['! user uids 0 999', 'user uid 999'])
  })

  test('new privileges, security modules, limits and scheduling', () => {
    assert.deepEqual(given({ process: { noNewPrivileges: false } }), ['no-new-privileges off'])
    assert.deepEqual(given({ process: { apparmorProfile: 'unconfined' } }), ['security-module apparmor none'])
    assert.deepEqual(given({ process: { selinuxLabel: 'system_u:system_r:container_t:s0' } }), [
      'security-module selinux domain container_t',
    ])
    assert.deepEqual(given({ process: { selinuxLabel: 'system_u:system_r:spc_t:s0' } }), [])
    const rlimits = [
      { type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 },
      { type: 'RLIMIT_MEMLOCK', hard: 2n ** 64n - 1n, soft: 1024 },
    ]
    assert.deepEqual(given({ process: { rlimits } }), ['rlimit RLIMIT_MEMLOCK 18446744073709551615'])
    assert.deepEqual(given({ process: { oomScoreAdj: -999, scheduler: { policy: 'SCHED_FIFO' } } }), [
      'scheduling oom-score -999',
      'scheduling policy SCHED_FIFO',
    ])
  })

  test('interfaces of the kernel that are usually hidden, where they are mounted', () => {
    const mounts = [{ destination: '/proc', type: 'proc', source: 'proc' }]
    const maskedPaths = ['/proc/acpi', '/proc/asound', '/proc/keys', '/proc/latency_stats', '/proc/sched_debug']
    const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq']
    const rest = ['/proc/scsi', '/proc/timer_list', '/proc/timer_stats']
    assert.deepEqual(given({ mounts, linux: { maskedPaths: [...maskedPaths, ...rest], readonlyPaths } }), [
      '! kernel-path writable /proc/sys',
      '! kernel-path writable /proc/sysrq-trigger',
      'kernel-path unmasked /proc/kcore',
    ])
    assert.deepEqual(given({ mounts: [] }), [])
  })

  test('settings of the kernel, for itself or for the host', () => {
    const sysctl = { 'net.ipv4.ip_forward': '1', 'kernel.core_pattern': '|/x' }
    assert.deepEqual(given({ linux: { sysctl } }), ['! sysctl kernel.core_pattern |/x', 'sysctl net.ipv4.ip_forward 1'])
  })

  test('hooks, which run on the host, and orders to the runtime', () => {
    const hooks = {
      createRuntime: [{ path: '/bin/evil', args: ['evil', '-x'], env: ['A=1'] }],
      startContainer: [{ path: '/bin/own' }],
    }
    assert.deepEqual(given({ hooks }), ['! hook createRuntime A=1 /bin/evil -x', 'hook startContainer /bin/own'])
    const annotations = { 'run.oci.hooks.stdout': '/etc/cron.d/x', 'org.example': 'x' }
    assert.deepEqual(given({ annotations }), ['! annotation run.oci.hooks.stdout /etc/cron.d/x'])
  })

  test('a filter of system calls, or none', () => {
    assert.deepEqual(given({ linux: { seccomp: undefined } }), ['seccomp none'])
    assert.deepEqual(given({ linux: { seccomp: { ...harmless.linux.seccomp, listenerPath: '/run/x' } } }), [
      'seccomp listener /run/x',
    ])
  })
})

describe('mounts', () => {
  test('of the host, by what they reach', () => {
    assert.deepEqual(mounted({ source: '/' }), ['! mount bind rw all /'])
    assert.deepEqual(mounted({ source: '/var/run/docker.sock', options: ['bind', 'ro'] }), [
      '! mount bind ro alone /run/docker.sock',
    ])
    assert.deepEqual(mounted({ source: '/var/lib/app' }), ['mount bind rw all /var/lib/app'])
    assert.deepEqual(mounted({ source: '/etc/hosts', options: ['bind', 'ro'] }), ['mount bind ro alone /etc/hosts'])
    assert.deepEqual(mounted({ source: '/etc/app' }), ['! mount bind rw all /etc/app'])
    assert.deepEqual(mounted({ source: '/etc', options: ['bind', 'ro'] }), ['! mount bind ro alone /etc'])
    assert.deepEqual(mounted({ source: '/dev' }), ['! mount bind rw all /dev'])
    assert.deepEqual(mounted({ source: '/dev/sda' }), ['! mount bind rw all /dev/sda'])
    assert.deepEqual(mounted({ source: '/dev/fuse' }), ['mount bind rw all /dev/fuse'])
    assert.deepEqual(mounted({ source: '/srv/x/../../etc', options: ['rbind', 'rro'] }), [
      '! mount bind ro readable /etc',
    ])
    assert.deepEqual(mounted({ source: '/srv', options: ['ro'] }), ['mount bind ro all /srv'])
    assert.deepEqual(mounted({ source: '/srv', options: ['bind', 'rshared', 'ro'] }), [
      '! mount propagation /srv',
      'mount bind ro alone /srv',
    ])
  })

  test('of the deployment: its root is its own, its configuration is not', () => {
    assert.deepEqual(mounted({ source: 'rootfs/data' }), [])
    const link = '/var/lib/forerun/containers/app'
    assert.deepEqual(mounted({ source: 'config.json' }), [`! mount bind rw all ${link}/config.json`])
    assert.deepEqual(mounted({ source: `${folder}/config.json` }), [`! mount bind rw all ${link}/config.json`])
    assert.deepEqual(mounted({ source: '../etcd.0/rootfs' }), [
      '! mount bind rw all /var/lib/forerun/containers/etcd.0/rootfs',
    ])
  })

  test('that forerun adds itself do not count', () => {
    const options = ['bind', 'ro', 'nosuid', 'nodev', 'noexec']
    assert.deepEqual(mounted({ source: '/run/systemd/notify', destination: '/.notify', options }), [])
    const credentials = '/run/credentials/app.service'
    assert.deepEqual(mounted({ source: credentials, destination: credentials, options }), [])
    assert.deepEqual(mounted({ source: '/run/credentials/b.service', destination: '/x', options }), [
      '! mount bind ro alone /run/credentials/b.service',
    ])
  })

  test('of other file systems', () => {
    assert.deepEqual(mounted({ type: 'tmpfs', options: [] }), [])
    assert.deepEqual(mounted({ type: 'ext4', source: '/dev/sda1', options: ['ro'] }), [
      '! mount type ro ext4 /dev/sda1',
    ])
    assert.deepEqual(mounted({ type: 'overlay', source: 'overlay', options: ['lowerdir=/etc'] }), [
      '! mount type rw overlay overlay lowerdir=/etc',
    ])
    assert.deepEqual(mounted({ type: 'sysfs', destination: '/y', options: [] }), ['! mount sysfs rw'])
    assert.deepEqual(mounted({ type: 'cgroup', options: ['ro'] }), [])
    assert.deepEqual(mounted({ type: 'cgroup', options: [] }), ['mount cgroup own'])
    const namespaces = harmless.linux.namespaces.filter(({ type }) => type !== 'cgroup')
    const mounts = [{ destination: '/x', type: 'cgroup2', source: 'cgroup' }]
    assert.deepEqual(given({ mounts, linux: { namespaces } }), ['! mount cgroup host', 'namespace cgroup host'])
    assert.deepEqual(given({ linux: { rootfsPropagation: 'rshared' } }), ['! mount propagation root'])
  })
})

describe('devices', () => {
  const devices = (...rules: object[]) => given({ linux: { resources: { devices: rules } } })

  test('by the rules that are in force', () => {
    assert.deepEqual(devices({ allow: true }), ['! device a *:* rw', 'device unruled'])
    assert.deepEqual(devices({ allow: true, access: 'rwm' }, { allow: false }), [])
    assert.deepEqual(devices({ allow: false }, { allow: true, type: 'b', access: 'r' }), ['! device b *:* r'])
    assert.deepEqual(devices({ allow: false }, { allow: true, type: 'c', major: 10, minor: 229, access: 'rwm' }), [
      'device c 10:229 rw',
    ])
    assert.deepEqual(
      devices(
        { allow: false },
        { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
        { allow: true, type: 'b', access: 'm' },
      ),
      [],
    )
    assert.deepEqual(devices(), ['device unruled'])
    assert.deepEqual(devices({ allow: true }, { allow: false, access: 'm' }), ['! device a *:* rw', 'device unruled'])
  })

  test('by nodes', () => {
    const nodes = [
      { type: 'b', path: '/dev/disk', major: 8, minor: 0 },
      { type: 'p', path: '/dev/pipe' },
    ]
    assert.deepEqual(given({ linux: { devices: nodes } }), ['! device b 8:0 rw'])
  })
})

describe('the unit', () => {
  test('what starts, signals and deletes the own container is not told', () => {
    assert.deepEqual(
      service(
        [
          'ExecStartPre=/bin/evil',
          'ExecStartPre=',
          'ExecStart=/usr/bin/runc --systemd-cgroup run --detach --pid-file /run/container-app.pid app',
          "ExecStart=runc run 'app'",
          'ExecStop=/usr/bin/runc kill app SIGTERM',
          'ExecStopPost=-/usr/bin/runc delete --force app',
        ].join('\n'),
      ),
      [],
    )
  })

  test('a runtime that does anything else is', () => {
    for (const command of [
      '/usr/bin/runc run --bundle /srv/evil app',
      '/usr/bin/runc run other',
      '/usr/bin/runc run --no-pivot app',
      '/usr/bin/runc --root /run/docker/runtime exec app sh',
      '/usr/bin/runc run --pid-file /etc/cron.d/x app',
      '/usr/bin/runc run app ; /bin/evil',
      '/usr/bin/runc delete 123',
      '/usr/bin/runc kill ABC app',
      '@/usr/bin/runc app run app',
      '/tmp/runc run app',
    ]) {
      assert.deepEqual(service(`ExecStart=${command}`), [`! host-command ExecStart root ${command.replace('@', '')}`])
    }
    assert.deepEqual(service('BindPaths=/evil:/usr/bin\nExecStart=/usr/bin/runc run app'), [
      '! host-command ExecStart root /usr/bin/runc run app',
    ])
    const elsewhere = '[Service]\nWorkingDirectory=/srv/evil\nExecStart=/usr/bin/runc run app'
    assert.deepEqual(unit(elsewhere), ['! host-command ExecStart root /usr/bin/runc run app'])
  })

  test('commands, and who runs them', () => {
    assert.deepEqual(service('User=ann\nExecStartPre=-/bin/a b\nExecStartPost=+/bin/c\nExecReload=!/bin/d'), [
      '! host-command ExecStartPost root /bin/c',
      '! host-command ExecReload root /bin/d',
      'host-command ExecStartPre ann /bin/a b',
    ])
    assert.deepEqual(service('User=ann\nPermissionsStartOnly=yes\nExecStop=/bin/a'), [
      '! host-command ExecStop root /bin/a',
    ])
    assert.deepEqual(service('User=%i\nExecStop=/bin/a'), ['! host-command ExecStop root /bin/a'])
    assert.deepEqual(service('ExecReload=/bin/kill -HUP $MAINPID'), [
      'host-command ExecReload root /bin/kill -HUP $MAINPID',
    ])
  })

  test('settings by which it does more', () => {
    assert.deepEqual(unit('[Unit]\nFailureAction=reboot-force'), ['! unit-setting FailureAction reboot-force'])
    assert.deepEqual(service('StandardOutput=append:/etc/cron.d/x\nStandardError=journal'), [
      '! unit-setting StandardOutput append:/etc/cron.d/x',
    ])
    assert.deepEqual(service('EnvironmentFile=-/etc/app.env'), ['unit-setting EnvironmentFile -/etc/app.env'])
    assert.deepEqual(service('Environment=A=1 LD_PRELOAD=/x.so'), ['! unit-setting Environment A=1 LD_PRELOAD=/x.so'])
  })

  test('other units', () => {
    const text = `[Unit]
Requires=etcd.service
Conflicts=shutdown.target docker.service
Before=a.service b.service app.service
[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
Alias=sshd.service`
    assert.deepEqual(unit(text), [
      '! dependency Conflicts docker.service',
      '! dependency RequiredBy docker.service',
      '! dependency Alias sshd.service',
      'dependency Requires etcd.service',
      'dependency Conflicts shutdown.target',
      'dependency Before a.service',
      'dependency Before b.service',
      'dependency WantedBy multi-user.target',
    ])
  })

  test('lines of tmpfiles.d', () => {
    const tmpfiles =
      'd /var/lib/app 0700 root root - -\nR /srv/data\nf /etc/cron.d/x 0644 - - - text\nL /srv/a - - - - b\n'
    assert.deepEqual(given({}, { tmpfiles }), [
      '! tmpfiles R /srv/data',
      '! tmpfiles f /etc/cron.d/x 0644 - - - text',
      'tmpfiles L /srv/a - - - - b',
    ])
  })
})

test('the slot of a deployment and secrets of the user are told nowhere', () => {
  const at = (slot: string, secret: string) => {
    const text = `[Service]\nWorkingDirectory=/c/app.${slot}\nExecStart=/usr/bin/runc run app\nExecStop=/bin/tell /c/app.${slot}/x "${secret} %%"`
    const secrets = new Map([['WORD', `${secret} %`]])
    const mounts = [{ destination: '/x', type: 'bind', source: `/c/app.${slot}/data`, options: ['rw'] }]
    const configuration = parsed({ ...harmless, mounts })
    return servicePrivileges({
      name: 'app',
      folder: `/c/app.${slot}`,
      runtime: '/usr/bin/runc',
      configuration,
      unit: text,
      secrets,
    })
  }
  assert.deepEqual(at('0', 'hush'), at('1', 'sesame'))
  const command = at('0', 'hush').find(({ kind }) => kind === 'host-command')
  assert.equal(command?.text, 'runs /bin/tell /c/app/x (secret WORD) on the host as root, to stop it (ExecStop=)')
})

describe('real images', () => {
  const told = (files: Parameters<typeof imageFiles>[0], more: Partial<BundleInput> = {}) => {
    const deployment = {
      name: 'app',
      destination: folder,
      imageId: 'sha256:1',
      imageName: 'registry.example/app',
      runtime: '/usr/bin/runc',
      program: '/usr/bin/forerun',
      uuid: '7a4e',
      capabilities: [...defaultCapabilities, 'CAP_SYS_ADMIN'],
    }
    const { service: prepared } = prepareBundle({
      deployment,
      image: imageConfiguration({ cmd: ['/bin/serve'], volumes: ['/data'] }),
      files: imageFiles(files),
      assignments: new Map(),
      hostKind: (path) => (path === '/etc/hosts' ? 'file' : undefined),
      securityModules: { selinux: false, apparmor: false },
      seccomp: () => defaultSeccomp('amd64', defaultCapabilities),
      overlay: false,
      ...more,
    })
    assert.ok(prepared)
    return servicePrivileges({ ...prepared, name: 'app', folder, runtime: '/usr/bin/runc' })
  }

  const template = (name: string, file: string) =>
    readFileSync(join(import.meta.dirname, '../lab/images', name, file), 'utf8')

  const exported = (name: string) =>
    Object.fromEntries(
      ['config.json.template', 'service.template', 'tmpfiles.template', 'manifest.json'].map((file) => [
        `/exports/${file}`,
        template(name, file),
      ]),
    )

  test('an ordinary one has no power over the host', () => {
    const privileges = told({})
    assert.deepEqual(
      privileges.filter(({ weight }) => weight === 'power'),
      [],
    )
    assert.deepEqual(
      privileges.filter(({ kind }) => !['capability', 'dependency'].includes(kind)).map(({ text }) => text),
      [
        'runs as root',
        'no profile of AppArmor confines it',
        'no domain of SELinux confines it',
        'network of the host',
        'host name of the host',
        'users and groups of the host',
        'reads and changes /var/lib/app/data of the host (at /data)',
        'reads /etc/hosts of the host',
        'a filter lets 392 system calls through',
      ],
    )
  })

  test('etcd has none either; what netconf waits with is a command of root', () => {
    const powers = (name: string) =>
      told(exported(name)).flatMap(({ kind, weight }) => (weight === 'power' ? [kind] : []))
    assert.deepEqual(powers('etcd'), [])
    assert.deepEqual(powers('netconf'), ['host-command'])
  })
})
