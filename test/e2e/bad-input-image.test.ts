import { after, before, test } from 'node:test'
import { busyboxImage, type Exports, serviceExports } from '../lab/busybox.ts'
import { assertRefused, type Complaint, impatientHost, serviceWith } from './bad-input.ts'
import type { InstalledHost } from './installed-host.ts'

/** Images that are whole and verified, and cannot be installed for what they carry: nothing but the store may change. */
let lab: InstalledHost

before(async () => {
  lab = await impatientHost()
})
after(() => lab[Symbol.asyncDispose]())

const configuration = serviceExports(['sleep', 'infinity'])['config.json.template'] as {
  process: object
  root: object
}

/** What is at fault -> metadata of the image, and what is to be said of it. */
const faults: Record<string, [Exports, Omit<Complaint, 'pulled'>]> = {
  'a variable without a value': [
    { 'service.template': '[Unit]\nDescription=$COLOUR\n[Service]\nExecStart=$EXEC_START\n' },
    { code: 'template', message: /service\.template.*unreplaced value for: ''COLOUR''/, hint: /--set COLOUR=/ },
  ],
  "a stray '$'": [
    { 'service.template': '[Unit]\nDescription=costs 5$ or so\n' },
    { code: 'template', message: /service\.template' has a stray '\$' at line 2, column 20/ },
  ],
  'a template that renders to no JSON': [
    { 'config.json.template': '{\n  "hostname": "$NAME",\n  "mounts": [$UUID]\n}\n' },
    { code: 'template', message: /config\.json\.template.* line 3, column \d+: .*variables on that line: UUID/ },
  ],
  'a template of JSON that ends too soon': [
    { 'config.json.template': '{"hostname": "$NAME",' },
    { code: 'template', message: /config\.json\.template.*line 1/ },
  ],
  'a config.json that is no JSON': [
    { 'config.json': '{"a": nothing}' },
    { code: 'configuration', message: /config\.json' is not valid JSON at line 1, column 7/ },
  ],
  'a wrong type in the configuration': [
    { 'config.json.template': { ...configuration, process: { ...configuration.process, args: 'sleep' } } },
    { code: 'configuration', message: /process\.args is "sleep", wanted a list/ },
  ],
  'a configuration without a root': [
    { 'config.json.template': { ...configuration, root: undefined } },
    { code: 'configuration', message: /root is missing/ },
  ],
  'a root that can be written, where no overlay can be': [
    { 'config.json.template': { ...configuration, root: { path: 'rootfs' } } },
    { code: 'checkout', message: /^an overlay cannot be mounted in .*: the kernel refuses it on this file system$/ },
  ],
  'a root elsewhere': [
    { 'config.json.template': { ...configuration, root: { path: '/', readonly: true } } },
    { code: 'configuration', message: /root\.path is "\/", wanted "rootfs"/ },
  ],
  'a unit without anything to start': [
    { 'service.template': '[Unit]\nDescription=idle\n' },
    { code: 'unit', message: /systemd cannot load faulty\.service: .+/ },
  ],
  'a unit of an unknown type': [
    { 'service.template': '[Service]\nType=dbus\nExecStart=$EXEC_START\n' },
    { code: 'unit', message: /systemd cannot load faulty\.service: .+/ },
  ],
  'tmpfiles lines that nobody understands': [
    { 'tmpfiles.template': 'what is this\n' },
    { code: 'systemd', message: /does not understand .*faulty\.conf:1: / },
  ],
  'a manifest.json that is no JSON': [
    { 'manifest.json': '{"version": "1.0",}' },
    { code: 'exports', message: /manifest\.json' is not valid JSON at line 1, column 19/ },
  ],
  'a list for manifest.json': [{ 'manifest.json': [] }, { code: 'exports', message: /manifest\.json.*an object/ }],
  'a wrong type in manifest.json': [
    { 'manifest.json': { defaultValues: { A: true } } },
    { code: 'exports', message: /manifest\.json.*defaultValues\.A is true, wanted a string/ },
  ],
  'a version of manifest.json from the future': [
    { 'manifest.json': { version: '2.0' } },
    { code: 'exports', message: /manifest\.json.*version/ },
  ],
  'a host file renamed out of the root': [
    { hostfs: { '/etc/tool': 'x' }, 'manifest.json': { renameFiles: { '/etc/tool': '../../etc/shadow' } } },
    { code: 'exports', message: /renames '\/etc\/tool' to "\.\.\/\.\.\/etc\/shadow".*beneath the root/ },
  ],
  'a value that leads a host file out of the root': [
    {
      hostfs: { '/etc/tool': 'x' },
      'manifest.json': { renameFiles: { '/etc/tool': '/srv/$WHERE' }, defaultValues: { WHERE: '../etc/tool' } },
    },
    { code: 'exports', message: /beneath the root/ },
  ],
  'two host files of one name': [
    { hostfs: { '/srv/a': 'x', '/srv/b': 'y' }, 'manifest.json': { renameFiles: { '/srv/a': '/srv/b' } } },
    { code: 'exports', message: /have one place: '\/srv\/b'/ },
  ],
  'a host file beneath a symbolic link of the same image': [
    {
      hostfs: { '/srv/out': { type: 'symlink', target: '/etc' }, '/srv/b/passwd': 'x' },
      'manifest.json': { renameFiles: { '/srv/b': '/srv/out' } },
    },
    { code: 'exports', message: /'\/srv\/out'/ },
  ],
  'a host file beneath what is a file on the host': [
    { hostfs: { '/etc/passwd/below': 'x' } },
    { code: 'host-file', message: /\/etc\/passwd/ },
  ],
  'a host file below /proc': [
    { hostfs: { '/proc/sys/kernel/tool': 'x' } },
    { code: 'exports', message: /'\/proc\/sys', and \/proc holds no files$/ },
  ],
  'a unit of megabytes': [
    { 'service.template': `[Unit]\n# ${'x'.repeat(2 * 1024 * 1024)}\n` },
    { code: 'limit', message: /'\/exports\/service\.template' of the image has more than 1048576 bytes$/ },
  ],
  'a configuration that is too deep': [
    { 'config.json.template': `{"annotations": ${'['.repeat(100_000)}${']'.repeat(100_000)}}` },
    { code: 'limit', message: /config\.json\.template' has more than 128 levels of lists and objects$/ },
  ],
  'a manifest.json that is too deep': [
    { 'manifest.json': `${'['.repeat(100_000)}${']'.repeat(100_000)}` },
    { code: 'limit', message: /manifest\.json' has more than 128 levels of lists and objects$/ },
  ],
  'a default value that makes a template too large': [
    {
      'service.template': `[Unit]\n# ${'$BIG'.repeat(1000)}\n`,
      'manifest.json': { defaultValues: { BIG: 'x'.repeat(100_000) } },
    },
    { code: 'limit', message: /service\.template' has more than 1048576 bytes with the values in it$/ },
  ],
}

for (const [index, [fault, [exports, complaint]]] of Object.entries(faults).entries()) {
  test(`an image with ${fault} is refused`, async () => {
    const image = await lab.push(`bad/${index}/faulty`, serviceWith(exports))
    await assertRefused(lab, ['install', '--system', image], { ...complaint, pulled: true })
  })
}

test('a service that does not come up is put back whole', async () => {
  const exports = serviceExports(['/no/such/program'])
  const unit = exports['service.template'].replace('Restart=on-failure', 'Type=oneshot')
  const hostfs = { '/srv/dead/file': 'x' }
  const image = await lab.push('bad/dead', busyboxImage({ exports: { ...exports, 'service.template': unit, hostfs } }))
  await lab.must('pull', image)
  await assertRefused(lab, ['install', '--system', '--now', image], { code: 'systemd', message: /dead\.service/ })
})

test('an image that is pulled while it is refused stays in the store and nowhere else', async () => {
  const image = await lab.push('bad/new', serviceWith({ 'manifest.json': '[' }))
  await assertRefused(lab, ['install', '--system', image], { code: 'exports', message: /manifest\.json/, pulled: true })
  await lab.must('images', 'delete', image)
})
