import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { assertComplaint, assertRefused, impatientHost, serviceWith } from './bad-input.ts'
import type { InstalledHost } from './installed-host.ts'

/** Mistakes on the command line, in the settings, and hosts that lack something. The image itself is good, and stored. */
let lab: InstalledHost
let image: string

before(async () => {
  lab = await impatientHost()
  image = await lab.push('good/app', serviceWith({ 'tmpfiles.template': 'd /var/lib/$NAME 0755 0 0 - -\n' }))
  await lab.must('pull', image)
})
after(() => lab[Symbol.asyncDispose]())

test('unknown commands and options, missing and excess arguments', async () => {
  const lines: [string[], RegExp][] = [
    [['instal', image], /unknown command 'instal'/],
    [['install'], /missing required argument 'IMAGE'/],
    [['install', '--sytem', image], /unknown option '--sytem'/],
    [['install', image, 'another'], /too many arguments/],
    [['install', '--system-package', 'maybe', image], /'maybe' is invalid/],
    [['install', '--tls-verify=perhaps', image], /'perhaps' is invalid/],
    [['containers', 'lst'], /unknown command 'lst'/],
    [['containers', 'delete'], /name the containers to delete/],
    [['containers', 'list', '--filter', 'colour=red'], /Known keys/],
    [['images', 'tag', image], /missing required argument/],
    [['uninstall'], /missing required argument/],
  ]
  for (const [words, message] of lines) await assertRefused(lab, words, { code: 'usage', message })
  for (const words of [[], ['containers'], ['images']]) {
    const { status, stdout, stderr } = await lab.forerun(...words)
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, /^forerun: a command is needed\nhint: See: forerun .*--help\n$/m)
  }
})

test('names that are none, of images and of containers', async () => {
  for (const name of ['../x', 'a b', 'a/b', '-a', '.', 'a\nb', 'é']) {
    await assertRefused(lab, ['install', `--name=${name}`, image], { code: 'name', message: /is not a name/ })
  }
  await assertRefused(lab, ['install', '--name=', image], { code: 'name', message: /is empty/ })
  await assertRefused(lab, ['install', '--name', 'x'.repeat(300), image], {
    code: 'name',
    message: /has 300 characters; the limit is 200/,
  })
  for (const reference of ['', 'a/UPPER', '../x', 'a b', 'app:', 'app@sha256:12', `x/${'y'.repeat(300)}`]) {
    await assertRefused(lab, ['install', '--', reference], {
      code: 'reference',
      message: /is not the name of an image|digest/,
    })
  }
  for (const words of [['uninstall'], ['containers', 'delete']]) {
    for (const name of ['nobody', '../x', '']) {
      await assertRefused(lab, [...words, name], { code: 'container-not-found', message: /there is no container/ })
    }
  }
  // These two have no result, and so no --json.
  for (const verb of ['run', 'stop']) {
    const { status, stdout, stderr } = await lab.forerun(verb, 'nobody')
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /^forerun: there is no container 'nobody'\nhint: .+\n$/)
  }
  for (const words of [
    ['images', 'info'],
    ['images', 'delete'],
  ]) {
    await assertRefused(lab, [...words, 'nobody'], { code: 'image-not-found', message: /there is no image 'nobody'/ })
  }
})

test("--set without '=', of a forced variable, of what is no name", async () => {
  const assignments: [string, RegExp][] = [
    ['COLOUR', /it has no '='/],
    ['NAME=other', /'NAME' cannot be set/],
    ['DESTDIR=/etc', /'DESTDIR' cannot be set/],
    ['=red', /names no variable/],
    ['A-B=red', /'A-B' is not a name/],
  ]
  for (const [assignment, message] of assignments) {
    await assertRefused(lab, ['install', '--set', assignment, image], { code: 'variable', message })
  }
})

test('a missing runtime, and a missing or wrong --rootfs', async () => {
  for (const runtime of ['/no/such/runc', 'crunc', './runc', '/etc/passwd', '/usr']) {
    await assertRefused(lab, ['install', '--runtime', runtime, image], {
      code: 'runtime',
      message: new RegExp(`the runtime ${runtime} is not installed`),
    })
  }
  await assertRefused(lab, ['install', '--rootfs', '/no/such', image], {
    code: 'rootfs',
    message: /'\/no\/such' does not/,
  })
  await assertRefused(lab, ['install', '--rootfs', '/etc/passwd', image], {
    code: 'rootfs',
    message: /'\/etc\/passwd' is not a folder/,
  })
})

test('a unit, a tmpfiles file or a folder in the way', async () => {
  const places = [
    '/etc/systemd/system/app.service',
    '/etc/tmpfiles.d/app.conf',
    '/var/lib/forerun/containers/app',
    '/var/lib/forerun/containers/app.0',
  ]
  for (const place of places) {
    await lab.shell(`mkdir -p "$(dirname ${place})" && echo mine > ${place}`)
    await assertRefused(lab, ['install', image], {
      code: 'file-exists',
      message: new RegExp(`The file ${place} already exists\\.`),
      hint: /--name/,
    })
    await lab.shell(`rm ${place}`)
  }
  // A link to nowhere is something, too.
  await lab.shell('ln -s /nowhere /etc/systemd/system/app.service')
  await assertRefused(lab, ['install', image], { code: 'file-exists', message: /app\.service already exists/ })
  await lab.shell('rm /etc/systemd/system/app.service')
  // Only in the way of the drop-in, which is found out when applying.
  await lab.shell('echo mine > /etc/systemd/system/app.service.d')
  await assertRefused(lab, ['install', image], { code: 'host-file', message: /app\.service\.d/ })
  await lab.shell('rm /etc/systemd/system/app.service.d')
})

test('damaged settings, each with file and line', async () => {
  const file = join(lab.host.root, 'etc/forerun/forerun.conf')
  const good = readFileSync(file, 'utf8')
  const faults: [string, RegExp][] = [
    ['[registri]\n', /forerun\.conf:1: unknown section/],
    ['[registry]\nretrys = 1\n', /forerun\.conf:2: unknown key 'retrys'/],
    ['[registry]\n\nretries = many\n', /forerun\.conf:3: retries cannot be 'many'/],
    ['nonsense\n', /forerun\.conf:1: 'nonsense' is not understood/],
    ['\0\u0001\u0002\n', /forerun\.conf:1: /],
  ]
  try {
    for (const [text, message] of faults) {
      writeFileSync(file, text)
      await assertRefused(lab, ['install', image], { code: 'settings', message })
    }
  } finally {
    writeFileSync(file, good)
  }
})

test('another user than root', async () => {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'forerun']
  const lines = [
    ['install', image],
    ['uninstall', 'app'],
    ['pull', image],
    ['images', 'prune'],
    ['images', 'list'],
  ]
  for (const words of [...lines, ['containers', 'list']]) {
    const result = await lab.host.exec([...nobody, ...words, '--json'], { check: false })
    assertComplaint(result, { code: 'permission', message: /root|permission denied/, hint: /root/ })
  }
})

test('a host whose /etc is read-only', async () => {
  await lab.shell('mount --bind /etc /etc && mount -o remount,bind,ro /etc')
  try {
    await assertRefused(lab, ['install', image], { code: 'host-file', message: /read-only .*\/etc\// })
  } finally {
    await lab.shell('umount /etc')
  }
})

test('a host without systemd and without a bus', async () => {
  // A chroot, as an image builder has it: the programs are there, and nothing of them runs.
  await lab.shell(
    'mount --bind / /mnt && mount --rbind /dev /mnt/dev && mount -t proc proc /mnt/proc && mount -t tmpfs run /mnt/run',
  )
  try {
    const inside = ['chroot', '/mnt', 'forerun']
    const before = lab.files()
    for (const words of [
      ['install', image],
      ['install', '--now', image],
    ]) {
      const result = await lab.host.exec([...inside, ...words, '--json'], { check: false })
      assertComplaint(result, { code: 'systemd', message: /systemd/ })
    }
    assert.deepEqual([...lab.files()], [...before])
    const { stdout } = await lab.host.exec([...inside, 'containers', 'list', '--json'])
    assert.deepEqual(JSON.parse(stdout), [])
  } finally {
    await lab.shell('umount -l -R /mnt')
  }
})

test('a reader that goes away is no failure, and whatever was written is no error either', async () => {
  const commands = ['images list', `images info ${image}`, `install --display ${image}`, '--help']
  for (const command of commands) {
    const script = `set -o pipefail; forerun ${command} 2>/tmp/errors | head -c 1 >/dev/null; echo "$?"; cat /tmp/errors`
    const { stdout } = await lab.host.exec(['bash', '-c', script])
    assert.match(stdout, /^0\n(?!forerun)/, command)
  }
  const closed = await lab.host.exec(['bash', '-c', `forerun install ${image} >&- 2>&-; echo "$?"`])
  assert.equal(closed.stdout, '0\n')
  await lab.must('uninstall', 'app')
  // Progress is read to its first byte only; the installation goes on to its end.
  await lab.shell(`forerun install ${image} 2>&1 | head -c 1`)
  await lab.must('uninstall', 'app')
  const full = await lab.host.exec(['bash', '-c', 'forerun images list >/dev/full'], { check: false })
  assert.equal(full.status, 1)
  assert.match(full.stderr, /^forerun: .*no space left.*\nhint: /)
})
