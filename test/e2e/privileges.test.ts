import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ToldPrivilege } from '../../src/bundle/privilege.ts'
import type { ImagePrivileges } from '../../src/operations/containers/image-privileges.ts'
import type { ContainerInspection } from '../../src/operations/containers/inspect-container.ts'
import type { UpdateResult } from '../../src/operations/containers/update.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** What an image may do: told before it is installed, and of a container, by the same words. */
let lab: InstalledHost

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  await lab.push('plain', busyboxImage({ entrypoint: loop, config: { Volumes: { '/data': {} } } }))
  const exports = serviceExports(loop, {
    capabilities: ['CAP_SYS_ADMIN', 'CAP_KILL'],
    mounts: [
      { destination: '/host/dev', type: 'bind', source: '/dev', options: ['rbind', 'rw'] },
      { destination: '/docker.sock', type: 'bind', source: '$SOCKET', options: ['bind', 'ro'] },
    ],
    unit: 'Conflicts=ssh.service',
    service: 'ExecStartPre=/bin/sh -c "echo $WORD >/run/told"\nExecStartPre=/usr/bin/touch $DESTDIR/told',
  })
  const { linux, ...rest } = exports['config.json.template'] as { linux: { namespaces: { type: string }[] } }
  const namespaces = linux.namespaces.filter(({ type }) => type !== 'pid')
  await lab.push(
    'mighty',
    busyboxImage({
      exports: {
        ...exports,
        'config.json.template': { ...rest, linux: { ...linux, namespaces } },
        'manifest.json': { version: '1.0', defaultValues: { SOCKET: '/var/run/docker.sock' } },
        hostfs: { '/etc/profile.d/mighty.sh': 'true\n' },
      },
    }),
  )
  for (const name of ['plain', 'mighty']) await lab.must('pull', `${lab.registry.address}/${name}`)
})

after(() => lab[Symbol.asyncDispose]())

test('an ordinary image is told to have no power over the host', async () => {
  const { json } = await lab.must<{ installed: ImagePrivileges }>('images', 'info', '--json', 'plain')
  assert.deepEqual(powers(json.installed.privileges), [])
  const { stdout } = await lab.must('images', 'info', 'plain')
  const [, told = ''] = stdout.split(
    '\nPrivileges once installed (with default values; ! gives power over the host):\n',
  )
  assert.match(told, /^ {2}capabilities CHOWN, /m)
  assert.match(told, /^ {2}has the host's network, host name, users and groups$/m)
  assert.match(told, /^ {2}reads and changes \/var\/lib\/plain\/data of the host \(at \/data\)$/m)
  assert.doesNotMatch(told, /^!/m)
  assert.ok(told.split('\n').length < 20, told)
})

const mighty = [
  'capability CAP_SYS_ADMIN',
  'namespace pid host',
  'mount bind rw all /dev',
  'mount bind ro alone /run/docker.sock',
  'dependency Conflicts ssh.service',
]

test('an image with power over the host is told so before anything is installed, whatever its variables are to be', async () => {
  const files = lab.files()
  const { json } = await lab.must<{ installed: ImagePrivileges }>('images', 'info', '--json', 'mighty')
  const { privileges, open, hostFiles } = json.installed
  assert.deepEqual(open, ['WORD'])
  const commands = ['/bin/sh -c "echo $$WORD >/run/told"', '/usr/bin/touch /var/lib/forerun/containers/mighty/told']
  assert.deepEqual(powers(privileges), [
    ...mighty.slice(0, 4),
    ...commands.map((command) => `host-command ExecStartPre root ${command}`),
    ...mighty.slice(4),
  ])
  assert.deepEqual(
    hostFiles.map(({ path, power }) => [path, power.length]),
    [['/etc/profile.d/mighty.sh', 1]],
  )
  const { stdout } = await lab.must('images', 'info', 'mighty')
  assert.match(stdout, /^Privileges once installed \(with default values, and \$WORD for those without; /m)
  assert.match(stdout, /^! capability SYS_ADMIN: mounts file systems/m)
  assert.match(
    stdout,
    /^! reads \/run\/docker\.sock of the host \(at \/docker\.sock\): what is there does what root asks$/m,
  )
  assert.deepEqual(changesSince(files, lab), [])
})

test('a container is told by the same words, and after an update to the same image they have not changed', async () => {
  await lab.shell('mkdir -p /run; touch /run/docker.sock; printf hush >/srv/word')
  const installing = ['--accept-privileges', '--set-file', 'WORD=/srv/word', `${lab.registry.address}/mighty`]
  await lab.must('install', '--now', ...installing)
  const info = async () => (await lab.must<ContainerInspection>('containers', 'info', '--json', 'mighty')).json
  const before = await info()
  assert.deepEqual(
    powers(before.privileges).filter((key) => !key.startsWith('host-command')),
    mighty,
  )
  const { stdout } = await lab.must('containers', 'info', 'mighty')
  assert.match(stdout, /^Privileges \(! gives power over the host\):$/m)
  assert.match(
    stdout,
    /^ {2}! runs \/bin\/sh -c "echo \(secret WORD\) >\/run\/told" on the host as root, before the start/m,
  )
  assert.doesNotMatch(stdout, /hush/)
  await lab.must('update', '--accept-privileges', '--set', 'SOCKET=/run/docker.sock', 'mighty')
  const later = await info()
  assert.notEqual(later.folder, before.folder)
  assert.deepEqual(later.privileges, before.privileges)
})

test('a container whose configuration is damaged is told of all the same', async () => {
  const { folder } = (await lab.must<ContainerInspection>('containers', 'info', '--json', 'mighty')).json
  await lab.shell(`cp -p ${folder}/config.json /srv/kept; echo x >${folder}/config.json`)
  const { json, stderr } = await lab.must<ContainerInspection>('containers', 'info', '--json', 'mighty')
  assert.equal(json.privileges, null)
  assert.match(stderr, /What mighty may do is not known: /)
  await lab.shell(`cp -p /srv/kept ${folder}/config.json`)
})

test('an update that takes more stops with the list, unless that is accepted; what shrinks is told', async () => {
  const push = (capabilities: string[]) =>
    lab.push('growing:latest', busyboxImage({ exports: serviceExports(loop, { capabilities }) }))
  await lab.must('install', '--now', await push(['CAP_KILL', 'CAP_CHOWN']))
  const pid = await lab.property('growing', 'MainPID')
  const files = lab.files()
  await push(['CAP_KILL', 'CAP_NET_ADMIN', 'CAP_SYS_TIME'])
  const { status, stderr } = await lab.forerun('update', 'growing')
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: the update of growing takes privileges that it did not have\n(?: {4}.*\n){2}hint: /m)
  assert.match(stderr, /^ {4}! capability NET_ADMIN: .*\n {4}! capability SYS_TIME: /m)
  const partly = await lab.forerun('update', '--json', '--accept-privilege', 'CAP_NET_ADMIN', 'growing')
  assert.equal(partly.status, 1)
  const { error } = partly.json as { error: { code: string; details: string[] } }
  assert.deepEqual([error.code, error.details.length], ['privileges', 1])
  assert.match((await lab.must('images', 'list')).stdout, /growing/)
  assert.deepEqual([changesSince(files, lab), await lab.property('growing', 'MainPID')], [[], pid])
  const words = ['--accept-privilege', 'CAP_NET_ADMIN', '--accept-privilege', 'CAP_SYS_TIME']
  const { json } = await lab.must<UpdateResult[]>('update', '--json', ...words, 'growing')
  const [result] = json
  assert.ok(result?.outcome === 'updated')
  const keys = (list: readonly ToldPrivilege[]) => list.map(({ kind, key }) => `${kind} ${key}`)
  assert.deepEqual(keys(result.privileges.more), ['capability CAP_NET_ADMIN', 'capability CAP_SYS_TIME'])
  assert.deepEqual(keys(result.privileges.less), ['capability CAP_CHOWN'])
  await push(['CAP_KILL'])
  assert.match((await lab.must('update', 'growing')).stdout, /^It may no longer do:\n! capability NET_ADMIN/m)
})

test('at a terminal an installation is preceded by what the image may do, and power wants a yes', async () => {
  const { address } = lab.registry
  // script(1) hangs up when nobody can type any more.
  const atTerminal = (answer: string, name: string): Promise<string> =>
    lab.shell(
      `{ printf '${answer}\\n'; sleep 5; } | script -qec "forerun install ${address}/${name} --set WORD=x --name asked" /dev/null || true`,
    )
  assert.match(
    await atTerminal('n', 'mighty'),
    /What this image may do on the host:\r\n! capability SYS_ADMIN: .*was not given the power/s,
  )
  const harmless = await atTerminal('', 'plain --read-only')
  assert.match(harmless, /What this image may do on the host:\r\n {2}capabilities CHOWN/)
  assert.doesNotMatch(harmless, /\[y\/N\]/)
  await lab.must('uninstall', 'asked')
})

function powers(privileges: readonly ToldPrivilege[] | null): string[] {
  assert.ok(privileges)
  return privileges.flatMap(({ kind, key, weight }) => (weight === 'power' ? [`${kind} ${key}`] : []))
}
