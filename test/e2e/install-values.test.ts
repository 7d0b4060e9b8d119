// biome-ignore-all lint/suspicious/noTemplateCurlyInString: values and templates under test
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { stopSignal } from '../../src/bundle/stop-signal.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** What systemd, systemd-tmpfiles and the processes of a unit read where a value has been written. */
let lab: InstalledHost
let image: string

/** `$$` of a template is `$`, `$$` of a unit too. */
const unit = `[Unit]
Description=of $VALUE here
RequiresMountsFor=/srv/r/$VALUE "/srv/q/$VALUE"
# a comment with $VALUE
[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=/srv/w/$VALUE/x
Environment="DOUBLE=$VALUE" 'SINGLE=$VALUE'
Environment=OUTSIDE=$VALUE
ExecStartPre=:/bin/sh -c 'printf "%%s\\\\0" "$$@" >/srv/out/colon' sh --opt=$VALUE "$VALUE"
ExecStartPre=/bin/sh -c 'printf "%%s\\\\0" "$$$$@" >/srv/out/words' sh --opt=$VALUE "$VALUE" 'a $VALUE' \\
  \${VALUE}/b last
ExecStartPre=/bin/sh -c 'printf "%%s\\\\0" "$$$$@" >/srv/out/alone' sh $VALUE last
ExecStart=/bin/sh -c 'cat /proc/self/environ >/srv/out/environment; readlink -n /proc/self/cwd >/srv/out/cwd'
`
const tmpfiles = `d /srv/t/$VALUE 0755 root root - -
d "/srv/t2/$VALUE" 0755 root root - -
f /srv/f/file 0644 root root - a $VALUE b
f /srv/f/whole 0644 root root - $VALUE
L /srv/f/link - - - - /srv/$VALUE
`

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

before(async () => {
  lab = await installedHost()
  const exports = { ...serviceExports(['true']), 'service.template': unit, 'tmpfiles.template': tmpfiles }
  image = await lab.push('values', busyboxImage({ exports }))
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  rmSync(join(lab.host.root, 'srv'), { recursive: true })
  mkdirSync(join(lab.host.root, 'srv'))
})

after(() => lab[Symbol.asyncDispose]())

const strings = (file: string) => content(file).split('\0').slice(0, -1)
const content = (file: string) => readFileSync(join(lab.host.root, 'srv', file), 'utf8')

for (const value of [
  'plain',
  '50%',
  'a%Hb %i',
  '%%',
  'p"q',
  "it's",
  `both "'`,
  'back\\slash',
  '\\x41\\s\\',
  'dollar$x ${HOME} $$',
  'a  b',
  ' outer ',
  'tab\there',
  ';',
  '; next',
  '#c',
  '-x',
  '*',
  'ü',
]) {
  test(`the value ${JSON.stringify(value)} is read back in every place`, async () => {
    for (const folder of ['out', 'f', `w/${value}/x`])
      mkdirSync(join(lab.host.root, 'srv', folder), { recursive: true })
    await lab.must('install', '--now', '--set', `VALUE=${value}`, image)
    assert.deepEqual(strings('out/words'), [`--opt=${value}`, value, `a ${value}`, `${value}/b`, 'last'])
    assert.deepEqual(strings('out/colon'), [`--opt=${value}`, value])
    assert.deepEqual(strings('out/alone'), [...value.split(/[ \t]+/).filter(Boolean), 'last'])
    const environment = strings('out/environment')
    for (const key of ['DOUBLE', 'SINGLE', 'OUTSIDE']) assert.ok(environment.includes(`${key}=${value}`), key)
    assert.equal(content('out/cwd'), `/srv/w/${value}/x`)
    assert.equal(await unitProperty('Description'), `of ${value} here`)
    const folders = (await unitProperty('RequiresMountsFor')) as string[]
    for (const folder of [`/srv/r/${value}`, `/srv/q/${value}`]) assert.ok(folders.includes(folder), folders.join('|'))

    for (const folder of ['t', 't2']) assert.deepEqual(readdirSync(join(lab.host.root, 'srv', folder)), [value])
    assert.equal(content('f/file'), `a ${value} b`)
    assert.equal(content('f/whole'), value)
    assert.equal(readlinkSync(join(lab.host.root, 'srv/f/link')), `/srv/${value}`)
  })
}

test('User= counts after a value that ends in a backslash', async () => {
  const service = 'Environment=TOKEN=$TOKEN\nUser=nobody\nType=oneshot\nRemainAfterExit=yes'
  const exports = {
    ...serviceExports(['true']),
    'service.template': `[Service]\n${service}\nExecStart=/usr/bin/id -un\n`,
  }
  await lab.must('install', '--now', '--set', 'TOKEN=abc\\', await lab.push('ends', busyboxImage({ exports })))
  assert.equal(await lab.property('ends', 'User'), 'nobody')
  assert.match(await lab.shell('journalctl --sync; journalctl -u ends -o cat --no-pager'), /^nobody$/m)
})

for (const start of [':$EXEC_START', '@/usr/bin/runc renamed run $NAME']) {
  test(`a container whose unit has ExecStart=${start} runs in a control group of its own`, async () => {
    const exports = serviceExports(loop)
    const own = exports['service.template'].replace('ExecStart=$EXEC_START', `ExecStart=${start}`)
    const reference = await lab.push('started', busyboxImage({ exports: { ...exports, 'service.template': own } }))
    await lab.must('install', '--now', reference)
    await lab.inside('started', 'true')
    const pid = JSON.parse(await lab.shell('runc state started')).pid
    assert.equal(await lab.shell(`sed -n s/^0:://p /proc/${pid}/cgroup`), '/system.slice/started.service/payload')
  })
}

test('systemd takes every stop signal that an image may have', async () => {
  const given = [...Object.entries(constants.signals), ['64', 64], ['SIGRTMIN+3', 37], ['rtmax-2', 62]] as [
    string,
    number,
  ][]
  const units = given.map(([name], index) => `signal${index} ${stopSignal(name)}`).join('\n')
  await lab.shell(`while read unit signal; do
    printf "[Service]\\nExecStart=true\\nKillSignal=$signal\\n" >/run/systemd/system/$unit.service
  done <<E\n${units}\nE\nsystemctl daemon-reload`)
  const shown =
    await lab.shell(`for unit in /run/systemd/system/signal*.service; do basename $unit .service; done | sort -V |
    while read unit; do systemctl show --value -p KillSignal $unit; done`)
  await lab.shell('rm /run/systemd/system/signal*.service; systemctl daemon-reload')
  assert.deepEqual(
    shown.split('\n').map(Number),
    given.map(([, number]) => number),
  )
})

test('a secret from a file is in files of root alone', async () => {
  const exports = serviceExports(loop, { env: ['TOKEN=$TOKEN'], service: 'Environment=TOKEN=$TOKEN' })
  await lab.shell('printf "%s\\n" "5% \\"secret\\"" >/srv/token')
  const reference = await lab.push('secret', busyboxImage({ exports }))
  const { stderr } = await lab.must('install', '--now', '--set-file', 'TOKEN=/srv/token', reference)
  assert.match(stderr, /The unit holds the secret value of 'TOKEN'/)
  assert.equal(await lab.inside('secret', 'sh', '-c', 'echo "$TOKEN"'), '5% "secret"\n')
  const folder = '/var/lib/forerun/containers/secret.0'
  const files = `/etc/systemd/system/secret.service ${folder}/info ${folder}/config.json`
  assert.equal(await lab.shell(`stat -c %a ${files}`), '600\n600\n600')
  assert.equal(await lab.shell(`stat -c %a ${folder}`), '700')
})

test('a credential is readable in the container and in no file, through restarts', async () => {
  const exports = serviceExports(loop, { env: ['KEY=$KEY'] })
  await lab.shell('printf confidential >"/srv/my-5%key"')
  const reference = await lab.push('keyed', busyboxImage({ exports }))
  await lab.must('install', '--now', '--set-credential', 'KEY=/srv/my-5%key', reference)
  for (const _ of ['first', 'second']) {
    assert.equal(await lab.inside('keyed', 'sh', '-c', 'cat "$KEY"'), 'confidential')
    assert.equal(await lab.inside('keyed', 'sh', '-c', 'cat "$CREDENTIALS_DIRECTORY/KEY"'), 'confidential')
    await lab.shell('systemctl restart keyed')
  }
  const found = await lab.shell('grep -rl confidential /etc /var/lib/forerun/containers || true; systemctl show keyed')
  assert.doesNotMatch(found, /confidential/)
  assert.doesNotMatch(found, /^\//m)
})

/** As D-Bus has it: systemctl writes some of them in quotes. */
async function unitProperty(name: string): Promise<unknown> {
  const path = '/org/freedesktop/systemd1/unit/values_2eservice'
  const words = ['org.freedesktop.systemd1', path, 'org.freedesktop.systemd1.Unit', name]
  const { stdout } = await lab.host.exec(['busctl', '--json=short', 'get-property', ...words])
  return JSON.parse(stdout).data
}
