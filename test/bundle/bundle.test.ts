import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BundleInput, prepareBundle, type ServiceBundle } from '../../src/bundle/bundle.ts'
import { parseUnit, unitValue } from '../../src/bundle/unit-file.ts'
import { imageConfiguration, imageFiles } from './image-in-memory.ts'

// Look-alikes of the images that were built for the old tool, with its spellings of 2016 and 2017.
const etcdConfiguration = `{
    "ociVersion": "1.0.0-rc2-dev",
    "platform": { "os": "linux", "arch": "amd64" },
    "process": {
        "terminal": false,
        "consoleSize": { "height": 0, "width": 0 },
        "user": { "uid": 0, "gid": 0, "additionalGids": null },
        "args": [ "/usr/bin/start-etcd.sh" ],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "NAME=$NAME",
            "ETCD_LISTEN_CLIENT_URLS=$ETCD_LISTEN_CLIENT_URLS"
        ],
        "cwd": "/",
        "capabilities": [ $ALL_PROCESS_CAPABILITIES ],
        "rlimits": [ { "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 } ],
        "noNewPrivileges": false
    },
    "root": { "path": "rootfs", "readonly": true },
    "hostname": "$NAME",
    "hooks": {},
    "mounts": [
        { "type": "tmpfs", "source": "/tmp", "destination": "/tmp", "options": [ "rw", "mode=1777" ] },
        { "type": "bind", "source": "$STATE_DIRECTORY/etcd", "destination": "/var/lib/etcd", "options": [ "rbind", "rw" ] },
        { "type": "bind", "source": "/etc/hosts", "destination": "/etc/hosts", "options": [ "rbind", "ro" ] },
        { "destination": "/proc", "type": "proc", "source": "proc" }
        $ADDTL_MOUNTS
    ],
    "linux": {
        "devices": null,
        "cgroupsPath": null,
        "resources": { "devices": [ { "allow": false, "access": "rwm" } ] },
        "namespaces": [ { "type": "mount" }, { "type": "pid" } ],
        "seccomp": null
    }
}`
const etcdUnit = `[Unit]
Description=Etcd for $NAME, $$ and all
After=network.target

[Service]
ExecStartPre=$EXEC_STARTPRE
ExecStart=$EXEC_START
ExecStop=$EXEC_STOP
ExecStopPost=$EXEC_STOPPOST
PIDFile=$PIDFILE
Type=forking
WorkingDirectory=$DESTDIR
Slice=machine.slice

[Install]
WantedBy=multi-user.target
`
const flannelUnit = `[Unit]
Before=docker.service
[Service]
ExecStartPre=/bin/bash -c 'systemctl import-environment'
ExecStart=$EXEC_START
WorkingDirectory=$DESTDIR
Type=notify
[Install]
RequiredBy=docker.service
`
const etcd = {
  '/exports/config.json.template': etcdConfiguration,
  '/exports/service.template': etcdUnit,
  '/exports/manifest.json': JSON.stringify({
    version: '1.0',
    defaultValues: { ETCD_LISTEN_CLIENT_URLS: 'http://127.0.0.1:2379', ADDTL_MOUNTS: '' },
    renameFiles: { '/usr/local/bin/etcdctl': '/usr/local/bin/$' + '{NAME}ctl' },
  }),
  '/exports/hostfs/usr/local/bin/etcdctl': '#!/bin/sh\n',
}

function input(files: Parameters<typeof imageFiles>[0], more: Partial<BundleInput> = {}): BundleInput {
  return {
    deployment: {
      name: 'etcd',
      destination: '/var/lib/forerun/containers/etcd.0',
      imageId: 'sha256:1',
      imageName: 'registry.example/etcd:latest',
      runtime: '/usr/bin/runc',
      program: '/usr/bin/forerun',
      uuid: '7a4e',
      capabilities: ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH'],
    },
    image: imageConfiguration({ cmd: ['/bin/serve'] }),
    files: imageFiles(files),
    assignments: new Map(),
    hostKind: (path) => (path === '/etc/hosts' ? 'file' : undefined),
    securityModules: { selinux: true, apparmor: true },
    overlay: false,
    ...more,
  }
}

function service(files: Parameters<typeof imageFiles>[0], more: Partial<BundleInput> = {}): ServiceBundle {
  const bundle = prepareBundle(input(files, more))
  assert.ok(bundle.service)
  return bundle.service
}

test('an image of the old tool is read unchanged, and its configuration comes out modern', () => {
  const { hostFiles, notices, service: prepared } = prepareBundle(input(etcd))
  assert.ok(prepared)
  const all = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH']
  assert.deepEqual(JSON.parse(prepared.configurationText), {
    ociVersion: '1.0.0-rc2-dev',
    process: {
      terminal: false,
      consoleSize: { height: 0, width: 0 },
      user: { uid: 0, gid: 0 },
      args: ['/usr/bin/start-etcd.sh'],
      env: [
        'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'NAME=etcd',
        'ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379',
      ],
      cwd: '/',
      capabilities: { bounding: all, effective: all, inheritable: all, permitted: all, ambient: all },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: false,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'etcd',
    hooks: {},
    mounts: [
      { type: 'tmpfs', source: '/tmp', destination: '/tmp', options: ['rw', 'mode=1777'] },
      { type: 'bind', source: '/var/lib/etcd', destination: '/var/lib/etcd', options: ['rbind', 'rw'] },
      { type: 'bind', source: '/etc/hosts', destination: '/etc/hosts', options: ['rbind', 'ro'] },
      { destination: '/proc', type: 'proc', source: 'proc' },
    ],
    linux: {
      cgroupsPath: '/machine.slice/etcd.service/payload',
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: [{ type: 'mount' }, { type: 'pid' }],
    },
  })
  assert.deepEqual(
    hostFiles.map(({ path }) => path),
    ['/usr/local/bin/etcdctl'],
  )
  assert.deepEqual(notices, [])
  assert.equal(prepared.tmpfiles, 'd /var/lib/etcd :0700 :0 :0 - -\n')
  assert.deepEqual(
    prepared.mountPoints.map(({ kind, path }) => `${kind} ${path}`),
    ['directory /tmp', 'directory /var/lib/etcd', 'file /etc/hosts', 'directory /proc'],
  )
})

test('a unit with pid file and stop gets a runtime that leaves; its text is the template rendered, no more', () => {
  const { unit } = service(etcd)
  assert.equal(
    unit,
    `[Unit]
Description=Etcd for etcd, $ and all
After=network.target

[Service]
ExecStartPre=
ExecStart=/usr/bin/runc run --detach --pid-file /run/container-etcd.pid etcd
ExecStop=/usr/bin/runc kill etcd
ExecStopPost=/usr/bin/runc delete --force etcd
PIDFile=/run/container-etcd.pid
Type=forking
WorkingDirectory=/var/lib/forerun/containers/etcd.0
Slice=machine.slice

[Install]
WantedBy=multi-user.target
`,
  )
})

test('a unit without pid file runs the container in the foreground', () => {
  const { unit } = service({ ...etcd, '/exports/service.template': flannelUnit })
  assert.equal(unitValue(parseUnit(unit), 'Service', 'ExecStart'), '/usr/bin/runc run etcd')
})

test('--set adds a mount, and a value inside a string cannot leave it', () => {
  const assignments = new Map([
    ['ADDTL_MOUNTS', ',{"type": "bind", "source": "/srv/x", "destination": "/x", "options": ["rbind"]}'],
    ['ETCD_LISTEN_CLIENT_URLS', '"],"args":["/bin/evil"'],
  ])
  const { configuration, tmpfiles } = service(etcd, { assignments })
  assert.equal(configuration.mounts?.at(-1)?.destination, '/x')
  assert.equal(configuration.process.env?.at(-1), 'ETCD_LISTEN_CLIENT_URLS="],"args":["/bin/evil"')
  assert.deepEqual(configuration.process.args, ['/usr/bin/start-etcd.sh'])
  assert.equal(tmpfiles, 'd /srv/x :0700 :0 :0 - -\nd /var/lib/etcd :0700 :0 :0 - -\n')
})

test('config.json is taken as it is, dollar signs and all, and wins over the template', () => {
  const text = JSON.stringify({
    ociVersion: '1.0.2',
    process: { cwd: '/', args: ['echo', '$NAME $'] },
    root: { path: 'rootfs', readonly: true },
  })
  const { configuration } = service({ '/exports/config.json': text, '/exports/config.json.template': '$broken' })
  assert.deepEqual(configuration.process.args, ['echo', '$NAME $'])
})

test("the image's tmpfiles template is rendered and nothing added", () => {
  const template = 'd $STATE_DIRECTORY/etcd 0700 - - - -\n'
  assert.equal(service({ ...etcd, '/exports/tmpfiles.template': template }).tmpfiles, 'd /var/lib/etcd 0700 - - - -\n')
  assert.throws(
    () =>
      service({ '/exports/tmpfiles.template': template }, { assignments: new Map([['STATE_DIRECTORY', '/a\nd /b']]) }),
    { code: 'template', message: /'STATE_DIRECTORY' has a line break/ },
  )
})

test('an image without exports gets a configuration and a unit, and directories for its volumes', () => {
  const image = imageConfiguration({ cmd: ['/bin/serve'], volumes: ['/data'], stopSignal: 'sigquit' })
  const { unit, tmpfiles, configuration } = service({}, { image })
  const settings = parseUnit(unit)
  assert.equal(unitValue(settings, 'Service', 'KillSignal'), 'SIGQUIT')
  assert.equal(unitValue(settings, 'Service', 'Type'), 'forking')
  assert.match(unitValue(settings, 'Service', 'ExecStart') ?? '', /--pid-file \/run\/container-etcd\.pid etcd$/)
  assert.match(unitValue(settings, 'Unit', 'Before') ?? '', /\bcontainerd\.service\b.*\bdocker\.service\b/)
  assert.doesNotMatch(unit, /network-online/)
  assert.equal(tmpfiles, 'd /var/lib/etcd :0700 :0 :0 - -\nd /var/lib/etcd/data :0755 :0 :0 - -\n')
  assert.equal(configuration.linux?.cgroupsPath, '/system.slice/etcd.service/payload')
})

test('volumes of the image get their directories beside the lines of its tmpfiles template', () => {
  const image = imageConfiguration({ cmd: ['/bin/serve'], volumes: ['/data'] })
  const { tmpfiles } = service({ '/exports/tmpfiles.template': 'd /run/x' }, { image })
  assert.equal(tmpfiles, 'd /var/lib/etcd :0700 :0 :0 - -\nd /var/lib/etcd/data :0755 :0 :0 - -\nd /run/x')
})

test('a stop signal that is none is refused', () => {
  const image = imageConfiguration({ cmd: ['x'], stopSignal: 'TERM\nExecStart=/bin/evil' })
  assert.throws(() => prepareBundle(input({}, { image })), { code: 'configuration', message: /stop signal/ })
})

test('an image of host files only has no service, and needs no command', () => {
  const bundle = prepareBundle(
    input({ ...etcd, '/exports/manifest.json': '{"noContainerService": true}' }, { image: imageConfiguration() }),
  )
  assert.equal(bundle.service, undefined)
  assert.deepEqual(
    bundle.hostFiles.map(({ path }) => path),
    ['/usr/local/bin/etcdctl'],
  )
})

test('a terminal is turned off and said so', () => {
  const template = etcdConfiguration.replace('"terminal": false', '"terminal": true')
  const bundle = prepareBundle(input({ ...etcd, '/exports/config.json.template': template }))
  assert.equal(bundle.service?.configuration.process.terminal, false)
  assert.match(bundle.notices.join(), /terminal/)
})

test('the tree of --rootfs is named in the configuration', () => {
  assert.equal(service(etcd, { rootfs: '/srv/tree/rootfs' }).configuration.root.path, '/srv/tree/rootfs')
})

for (const [file, text, error] of [
  ['/exports/config.json', '{"ociVersion": }', { code: 'configuration', message: /line 1, column 16/ }],
  [
    '/exports/config.json.template',
    '{"a": $NOVALUE}',
    { code: 'template', message: /unreplaced value for: ''NOVALUE''$/ },
  ],
  ['/exports/config.json.template', '{"a": "$"}', { code: 'template', message: /line 1, column 8$/ }],
  ['/exports/service.template', 'ExecStart=$(date)', { code: 'template', message: /'\/exports\/service\.template'/ }],
  ['/exports/service.template', '$STOP_SIGNAL', { code: 'template', message: /'STOP_SIGNAL'/ }],
  ['/exports/service.template', Buffer.from([0xff]), { code: 'exports', message: /is not UTF-8/ }],
  ['/exports/manifest.json', '{', { code: 'exports' }],
] as const) {
  test(`the fault of ${file} with ${JSON.stringify(text.toString())} is told`, () => {
    assert.throws(() => prepareBundle(input({ ...etcd, [file]: text })), error)
  })
}

test('the same input gives the same bundle', () => {
  assert.deepEqual(prepareBundle(input(etcd)), prepareBundle(input(etcd)))
})

test('a variable that is set and that nothing uses is told of; one that is built in is not', () => {
  const assignments = new Map([
    ['ETCD_LISTEN_CLIENT_URL', 'http://x'],
    ['RUN_DIRECTORY', '/run'],
  ])
  const { notices } = prepareBundle(input(etcd, { assignments }))
  assert.deepEqual(notices, ["No template of the image uses the variable 'ETCD_LISTEN_CLIENT_URL' that was set"])
})

test('a writable root is an overlay that the service needs, and of --rootfs the tree itself', () => {
  const text = JSON.stringify({ ociVersion: '1.0.2', process: { cwd: '/', args: ['x'] }, root: { path: 'rootfs' } })
  const files = { '/exports/config.json': text, '/exports/manifest.json': '{"keepRootChanges": true}' }
  const { mountUnit, dropIn } = service(files)
  assert.deepEqual([mountUnit?.kind, mountUnit?.keepChanges], ['writable', true])
  const unit = parseUnit(dropIn)
  const other = 'var-lib-forerun-containers-etcd.1-rootfs.mount'
  assert.equal(unitValue(unit, 'Unit', 'BindsTo'), mountUnit?.name)
  assert.equal(
    unitValue(unit, 'Unit', 'Wants'),
    other,
    'a boot in the midst of an update has the root that its unit names',
  )
  assert.equal(unitValue(unit, 'Unit', 'After'), `${mountUnit?.name} ${other}`)
  assert.equal(service({ '/exports/config.json': text }).mountUnit?.keepChanges, false)

  const given = service(files, { rootfs: '/srv/my tree' })
  assert.equal(given.mountUnit, undefined)
  assert.match(given.dropIn, /^RequiresMountsFor=\/var\/lib\/forerun\/containers\/etcd.0 "\/srv\/my tree"$/m)
})

test('a read-only root is an overlay only where that was asked for', () => {
  assert.equal(service(etcd).mountUnit, undefined)
  const { mountUnit } = service(etcd, { overlay: true })
  assert.deepEqual([mountUnit?.kind, mountUnit?.keepChanges], ['read-only', false])
})

test('a file that holds a secret is for root alone, and a unit that holds one is told of', () => {
  const files = {
    ...etcd,
    '/exports/service.template': `${etcdUnit}[Service]\nEnvironment=TOKEN=$TOKEN\n`,
    '/exports/tmpfiles.template': 'f /run/token 0600 - - - $TOKEN\n',
    '/exports/manifest.json': JSON.stringify({
      defaultValues: { TOKEN: 'x', ETCD_LISTEN_CLIENT_URLS: '', ADDTL_MOUNTS: '' },
      installedFilesTemplate: ['/etc/token', '/etc/name'],
    }),
    '/exports/hostfs/etc/token': '$TOKEN',
    '/exports/hostfs/etc/name': '$NAME',
  }
  const modes = (more: Partial<BundleInput>) => {
    const { service: prepared, hostFiles, notices } = prepareBundle(input(files, more))
    const others = hostFiles.flatMap((file) => (file.kind === 'file' && 'rendered' in file ? [file.mode & 0o7] : []))
    const told = notices.filter((notice) => notice.includes('secret'))
    return [prepared?.unitMode, prepared?.tmpfilesMode, others, told.join()]
  }
  assert.deepEqual(modes({}), [0o644, 0o644, [5, 5], ''])
  const [unit, tmpfiles, others, notice] = modes({ secrets: ['TOKEN'] })
  assert.deepEqual([unit, tmpfiles, others], [0o600, 0o600, [5, 0]])
  assert.match(`${notice}`, /^The unit holds the secret value of 'TOKEN'/)
})

test('values that the manifest calls secret are', () => {
  const manifest = { defaultValues: { ETCD_LISTEN_CLIENT_URLS: '', ADDTL_MOUNTS: '' }, secretValues: ['UUID'] }
  const unit = `${etcdUnit}[Service]\nEnvironment=UUID=$UUID\n`
  const files = { ...etcd, '/exports/service.template': unit, '/exports/manifest.json': JSON.stringify(manifest) }
  assert.equal(service(files).unitMode, 0o600)
})

test('of a credential only the place is in unit and configuration, and no tmpfiles line makes it', () => {
  const { unit, dropIn, configuration, tmpfiles, unitMode } = service(
    { ...etcd, '/exports/service.template': `${etcdUnit}[Service]\nEnvironment=KEY=$KEY\n` },
    { credentials: new Map([['KEY', '/root/key']]) },
  )
  assert.match(unit, /^Environment=KEY=\/run\/credentials\/etcd\.service\/KEY$/m)
  assert.equal(unitValue(parseUnit(dropIn), 'Service', 'LoadCredential'), 'KEY:/root/key')
  assert.equal(configuration.mounts?.at(-1)?.destination, '/run/credentials/etcd.service')
  assert.equal(tmpfiles, 'd /var/lib/etcd :0700 :0 :0 - -\n')
  assert.equal(unitMode, 0o644)
})
