import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** What scripts written for Project Atomic's tool do and look for, called by that tool's name. */
let lab: InstalledHost
let untouched: Snapshot
let id: string
let registry: string

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

before(async () => {
  lab = await installedHost({ packages: ['skopeo'] })
  symlinkSync('/usr/bin/forerun', join(lab.host.root, 'usr/bin/atomic'))
  const exports = {
    ...serviceExports(loop, { env: ['TOKEN=$TOKEN', 'A=$A'] }),
    'tmpfiles.template': 'd /var/lib/$NAME 0700 0 0 - -\n',
    'manifest.json': { version: '1.0', defaultValues: { A: 'default' } },
    hostfs: { '/usr/lib/systemd/system/docker.service.d/flannel.conf': '[Service]\n' },
  }
  await lab.push('team/etcd', busyboxImage({ labels: { 'atomic.type': 'system' }, exports }))
  const busybox = await busyboxImage({ cmd: ['true'] })
  id = busybox.imageIds[0] ?? ''
  const pushed = await lab.push('library/busybox', busybox)
  registry = pushed.slice(0, pushed.indexOf('/'))
  const configuration = `[[registry]]\nprefix = "docker.io"\nlocation = "${registry}"\ninsecure = true\n`
  mkdirSync(join(lab.host.root, 'etc/containers'), { recursive: true })
  writeFileSync(join(lab.host.root, 'etc/containers/registries.conf'), configuration)
  await lab.shell('mkdir -p /srv/work')
  untouched = lab.files()
})

after(() => lab[Symbol.asyncDispose]())

/** What a line prints, on both outputs, and its status when that is not 0. */
interface Expected {
  readonly status?: number
  readonly has?: readonly RegExp[]
  readonly lacks?: readonly RegExp[]
}

/** Runs each line after the other, as a script would: the state that one leaves is where the next begins. */
async function replay(lines: readonly (readonly [line: string, expected?: Expected])[]): Promise<void> {
  for (const [line, { status: wanted = 0, has = [], lacks = [] } = {}] of lines) {
    const { status, stdout } = await lab.host.exec(['sh', '-c', `cd /srv/work; exec 2>&1; ${line}`], { check: false })
    const said = `${line}\n${stdout}`
    assert.equal(status, wanted, said)
    for (const pattern of has) assert.match(stdout, pattern, said)
    for (const pattern of lacks) assert.doesNotMatch(stdout, pattern, said)
    assert.doesNotMatch(stdout, /^\s+at .*:\d+/m, said)
  }
}

test('the lines of scripts for system containers do what they did', async () => {
  const checkout = '/var/lib/forerun/containers/etcd'
  await replay([
    // Pulling, and words before and after the command.
    ['atomic --debug pull --storage ostree docker.io/busybox', { has: [/sha256:/] }],
    ['atomic -y pull --storage=ostree team/etcd'],
    ['atomic pull --assumeyes busybox --storage ostree --debug'],
    ['atomic pull --storage docker busybox', { status: 2, has: [/hint: .*docker:/] }],
    [
      `skopeo copy -q --src-tls-verify=false docker://${registry}/library/busybox docker-archive:busybox.tar:local/saved:latest`,
    ],
    ['atomic pull --storage ostree dockertar:/srv/work/busybox.tar'],
    // Lists of images.
    [
      'atomic images list',
      { has: [/^ {3}busybox {2}.* latest {2}/m, /^ {3}docker\.io\/library\/busybox /m], lacks: [/^>/m] },
    ],
    ['atomic images list -f repo=busybox', { has: [/busybox/], lacks: [/etcd/] }],
    ['atomic images list -f image=etcd', { has: [/team\/etcd/], lacks: [/busybox/] }],
    ['atomic images list -q -f type=ostree | sort -u | wc -l', { has: [/^2$/m] }],
    ['atomic images list -aq -f backend=ostree | grep -cv "^[0-9a-f]\\{12\\}$"', { status: 1, has: [/^0$/m] }],
    ['atomic images list --all | grep "<none>"'],
    ['atomic images list --json', { has: [/"repo": "busybox"/, /"virtual_size": "[\d.]+[kM]?B"/] }],
    ['atomic images info team/etcd', { has: [/^A: default$/m, /must be set with --set:\nTOKEN: \{DEF_VALUE\}$/m] }],
    // Two names, deleted one by one.
    ['atomic images delete -f busybox --storage ostree', { has: [/^Untagged: busybox:latest$/m], lacks: [/Deleted/] }],
    ['atomic images list', { has: [/^ {3}docker\.io\/library\/busybox /m], lacks: [/^ {3}busybox /m] }],
    [
      'atomic -y images delete --storage=ostree docker.io/library/busybox',
      { has: [/Untagged: docker\.io\/library\/busybox:latest/] },
    ],
    ['atomic images delete -f local/saved', { has: [new RegExp(`^Deleted: ${id}$`, 'm')] }],
    ['atomic images list -f repo=busybox -n', { lacks: [/./] }],
    ['atomic images delete -f busybox', { status: 1, has: [/there is no image 'busybox'/] }],
    // Installing.
    [
      'atomic install --system --name etcd --set A=1 team/etcd',
      { status: 1, has: [/unreplaced value for: ''TOKEN''/] },
    ],
    [`ls ${checkout}`, { status: 2 }],
    [
      'atomic --debug install --system --set=TOKEN=x --system-package=no team/etcd --name=etcd </dev/null',
      {
        has: [
          /! -rw-r--r-- root:root \/usr\/lib\/systemd\/system\/docker\.service\.d\/flannel\.conf: changes the unit docker/,
        ],
      },
    ],
    ['atomic install --system --name etcd --set TOKEN=x team/etcd', { has: [/^etcd already present$/m] }],
    [`test -L ${checkout} && test "$(readlink ${checkout})" = etcd.0`],
    [`for f in rootfs info etcd.service tmpfiles-etcd.conf; do test -e ${checkout}.0/$f || exit 1; done`],
    ['test -e /etc/systemd/system/etcd.service && test -e /etc/tmpfiles.d/etcd.conf && test -d /var/lib/etcd'],
    ['atomic images list', { has: [/^> {2}team\/etcd /m] }],
    // Containers.
    ['atomic containers list -aq', { has: [/^etcd\n$/] }],
    ['atomic containers list', { lacks: [/etcd/] }],
    ['atomic run --storage ostree etcd && systemctl is-active etcd', { has: [/^active$/m] }],
    ['atomic containers list -f backend=ostree --no-trunc', { has: [/^etcd .* running {2}ostree {2}/m] }],
    ['atomic containers list -af type=ostree -f image=team/ -n -q', { has: [/^etcd\n$/] }],
    ['atomic containers list --json', { has: [/"backend": "ostree"/] }],
    ['forerun containers list --json -f backend=ostree', { has: [/"backend": "forerun"/] }],
    ['atomic containers list -f backend=docker -aq', { lacks: [/./] }],
    ['atomic stop etcd && systemctl is-active etcd', { status: 3, has: [/^inactive$/m] }],
    // Names, updates of images, removal.
    [
      'atomic images tag team/etcd local/etcd:old --storage ostree && atomic images list',
      { has: [/^> {2}local\/etcd {2}/m] },
    ],
    ['atomic images update --all 2>&1 >/dev/null', { has: [/local\/etcd:old: skipping/] }],
    ['atomic images delete team/etcd && atomic images delete local/etcd:old', { status: 1, has: [/is used by etcd/] }],
    ['atomic images delete -f local/etcd:old && atomic images list', { has: [/^> {2}<none> /m] }],
    ['atomic uninstall --storage ostree etcd', { has: [/Uninstalled etcd/] }],
    ['atomic images prune', { has: [/^Deleted: /m] }],
    // A container that is called as the first slot of another would be.
    ['atomic install --system --name container.0 --set TOKEN=x team/etcd'],
    ['atomic -y containers delete -a', { has: [/^container\.0$/m] }],
    ['atomic images delete -f $(atomic images list -q)'],
    ['rm -r busybox.tar /var/lib/containers'],
  ])
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('power over the host is asked for at a terminal only, and -y and --accept-privileges are a yes', async () => {
  const install = 'forerun install --system --set TOKEN=x docker.io/team/etcd'
  const atTerminal = (line: string, answer: string): string => `printf '${answer}\\n' | script -qec "${line}" /dev/null`
  const refused = { status: 1, has: [/flannel\.conf: changes the unit docker\.service/, /was not given the power/] }
  const accepted = { has: [/Installed .* as etcd/] }
  await replay([
    [atTerminal(install, 'n'), refused],
    [atTerminal(install, ''), refused],
    ['test -e /etc/systemd/system/etcd.service', { status: 1 }],
    [atTerminal(install, 'yes'), accepted],
    ['forerun uninstall etcd'],
    [atTerminal(`${install} -y`, 'n'), accepted],
    ['forerun uninstall etcd'],
    [atTerminal(`${install} --accept-privileges`, 'n'), accepted],
    ['forerun uninstall etcd'],
    ['mkdir /etc/forerun && printf "[install]\\naccept-privileges = no\\n" >/etc/forerun/forerun.conf'],
    [`${install} </dev/null`, refused],
    [`${install} --accept-privileges </dev/null`, accepted],
    ['forerun uninstall etcd && rm -r /etc/forerun'],
    ['forerun images delete docker.io/team/etcd'],
  ])
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('nothing of an image steers the terminal with --display', async () => {
  const planted = '\x1b[2J\x9b1A\u202eevil'
  const exports = {
    ...serviceExports(loop, { unit: `Documentation=man:${planted}`, env: [`A=${planted}`] }),
    hostfs: { [`/etc/${planted}\nInstalled all is well`]: planted },
  }
  const image = await lab.push('team/steering', busyboxImage({ exports }))
  for (const words of [['--display'], ['--display', '--json'], []]) {
    const { stdout, stderr } = await lab.must('install', ...words, '--name', 'steering', image)
    assert.doesNotMatch(`${stdout}${stderr}`, /(?!\n)[\p{Cc}\u202e]/u)
    assert.doesNotMatch(`${stdout}${stderr}`, /^Installed all is well/m)
  }
  const { stdout } = await lab.must('install', '--display', '--name', 'other', image)
  assert.match(stdout, /^Documentation=man:\\x1b\[2J\\x9b1A\\x202eevil$/m)
  await lab.must('uninstall', 'steering')
})
