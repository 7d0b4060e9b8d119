import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { etcdImage } from '../lab/images.ts'
import { type InstalledHost, installedHost, until } from './installed-host.ts'

/** A real etcd with data goes from one version to the next and back, while a client asks it without a pause. */
let lab: InstalledHost

before(async () => {
  lab = await installedHost({ settle: 1 })
  writeFileSync(join(lab.host.root, 'opt/ask.mjs'), client)
  await lab.must('install', '--now', await lab.push('etcd', etcdImage()))
})

after(() => lab[Symbol.asyncDispose]())

/** Asks every five milliseconds until the file /run/asked-enough is there, then prints how long no answer came, in milliseconds. */
const client = `
  import { existsSync } from 'node:fs'
  import { get } from 'node:http'
  const ask = () => new Promise((resolve) => {
    const request = get('http://127.0.0.1:2379/health', { agent: false, timeout: 1000 }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode === 200)).on('error', () => resolve(false))
    })
    request.on('error', () => resolve(false)).on('timeout', () => request.destroy())
  })
  let last = performance.now()
  let longest = 0
  let answers = 0
  while (!existsSync('/run/asked-enough')) {
    if (await ask()) {
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
      answers++
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  console.log(JSON.stringify({ longest: Math.round(longest), answers }))
`

/** Milliseconds for which etcd did not answer while something was done. */
async function outage(action: () => Promise<unknown>): Promise<number> {
  await lab.shell('rm -f /run/asked-enough')
  const asking = lab.host.exec(['/usr/lib/forerun/node', '/opt/ask.mjs'])
  await new Promise((resolve) => setTimeout(resolve, 500))
  await action()
  await lab.shell('touch /run/asked-enough')
  const { longest, answers } = JSON.parse((await asking).stdout)
  assert.ok(answers > 20, `${answers} answers`)
  return longest
}

const key = () => lab.shell('etcdctl get --print-value-only /kept')

test('what was written before an update is there after it and after a rollback, and what is written goes on', async (t) => {
  await lab.shell('etcdctl put /kept one')
  const restart = await outage(() => lab.shell('systemctl restart etcd'))
  await lab.push('etcd', etcdImage({ version: '4' }))
  const update = await outage(() => lab.must('update', 'etcd'))
  assert.equal(await key(), 'one')
  await lab.shell('etcdctl put /kept two')
  const rollback = await outage(() => lab.must('rollback', 'etcd'))
  assert.equal(await key(), 'two')
  await lab.must('rollback', 'etcd')
  await lab.host.reboot()
  await until('etcd answers', async () => (await key()) === 'two')
  t.diagnostic(`etcd did not answer for: systemctl restart ${restart} ms, update ${update} ms, rollback ${rollback} ms`)
})

/** New versions that are broken, each in another way. */
const broken: readonly [what: string, variant: Parameters<typeof etcdImage>[0], told: RegExp, settle?: string][] = [
  ['exits at once', { script: 'exit 3' }, /cannot restart etcd\.service|started and did not stay up/],
  ['is restarted for ever', { script: 'sleep 0.2; exit 3' }, /systemd starts it again|cannot restart/],
  ['never gets ready', { script: waiting() }, /was not up within its TimeoutStartSec/],
  [
    'is ready, and dies after 5 s',
    { script: '/usr/bin/etcd.real & etcd=$!; sleep 5; kill $etcd; exit 3' },
    /started and did not stay up: it ended/,
    '7',
  ],
  [
    'is not healthy',
    { manifest: { healthCheck: { command: 'exit 7', interval: 1 } } },
    /is not healthy: exit status 7/,
  ],
]

function waiting(): string {
  return "trap 'exit 0' TERM; while :; do sleep 0.1; done"
}

/** What an administrator changed: it survives whatever fails, and makes a service that ends be started for ever. */
const edits =
  'printf "[Unit]\\nStartLimitIntervalSec=0\\n[Service]\\nNice=3\\nTimeoutStartSec=8\\n" >/etc/systemd/system/etcd.service.d/50-mine.conf; sed -i "s/^RestartSec=1/RestartSec=2/" /etc/systemd/system/etcd.service; systemctl daemon-reload'

async function assertAsBefore(value: string): Promise<void> {
  await until('etcd answers', async () => (await key()) === value)
  assert.equal(await lab.shell('systemctl is-active etcd'), 'active')
  assert.equal(await lab.shell('systemctl show -p Nice,RestartUSec etcd | sort'), 'Nice=3\nRestartUSec=2s')
  assert.equal(await lab.shell('ls -A /var/lib/forerun/journal'), '')
}

test('an etcd whose new version is broken, in whatever way, is back with its data and what an administrator changed', async (t) => {
  await lab.shell(edits)
  for (const [index, [what, variant, told, settle = '1']] of broken.entries()) {
    await lab.shell(`etcdctl put /kept ${index}`)
    await lab.push('etcd', etcdImage({ version: `broken-${index}`, ...variant }))
    let tried: { status: number; stderr: string } | undefined
    const missing = await outage(async () => {
      tried = await lab.forerun('update', '--settle', settle, 'etcd')
    })
    assert.equal(tried?.status, 1, what)
    assert.match(tried.stderr, told, what)
    assert.match(tried.stderr, /^etcd was put back to .*, and runs as before$/m)
    await assertAsBefore(`${index}`)
    t.diagnostic(`a version that ${what}: no answer for ${missing} ms`)
  }
})

test('an etcd beside whose new version a unit that requires it fails is back, and so is that unit', async (t) => {
  const folder = '/var/lib/forerun/containers'
  const slot = await lab.shell(`readlink ${folder}/etcd`)
  await lab.shell(
    `printf '[Unit]\\nRequires=etcd.service\\nAfter=etcd.service\\n[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/sh -c "readlink ${folder}/etcd | grep -q ${slot}"\\n' >/run/systemd/system/needs.service; systemctl daemon-reload; systemctl start needs`,
  )
  await lab.shell('etcdctl put /kept needed')
  await lab.push('etcd', etcdImage({ version: 'other' }))
  const missing = await outage(async () => {
    const { status, stderr } = await lab.forerun('update', 'etcd')
    assert.equal(status, 1)
    assert.match(stderr, /came up, and needs\.service, which requires it, did not/)
  })
  await assertAsBefore('needed')
  assert.equal(await lab.shell('systemctl is-active needs'), 'active')
  t.diagnostic(`a version beside which a dependant fails: no answer for ${missing} ms`)
  await lab.shell('systemctl stop needs; rm /run/systemd/system/needs.service; systemctl daemon-reload')
})

test('the same by a boot: a version that is broken is taken back after it, and a sound one stays', async () => {
  await lab.shell('etcdctl put /kept boot')
  await lab.push('etcd', etcdImage({ version: 'broken-at-boot', script: 'exit 3' }))
  assert.match((await lab.must('update', '--at-boot', 'etcd')).stdout, /runs from the next boot on/)
  await lab.host.reboot().catch((error: Error) => assert.match(error.message, /degraded/))
  await until('it is judged', async () => (await lab.shell('ls -A /var/lib/forerun/journal')) === '', { seconds: 60 })
  await assertAsBefore('boot')
  const before = await lab.shell('readlink /var/lib/forerun/containers/etcd')
  await lab.push('etcd', etcdImage({ version: 'next' }))
  assert.match((await lab.must('update', '--at-boot', 'etcd')).stdout, /runs from the next boot on/)
  await lab.host.reboot()
  await until('it is judged', async () => (await lab.shell('ls -A /var/lib/forerun/journal')) === '', { seconds: 60 })
  await assertAsBefore('boot')
  assert.notEqual(await lab.shell('readlink /var/lib/forerun/containers/etcd'), before)
})

test('an etcd whose new version never gets ready is back with its data', async () => {
  await lab.shell('etcdctl put /kept three')
  // A port that somebody has.
  const { status, stderr } = await lab.forerun(
    'update',
    '--set',
    'ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:1',
    '--set',
    'ETCD_ADVERTISE_CLIENT_URLS=nonsense',
    'etcd',
  )
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: /m)
  await until('etcd answers', async () => (await key()) === 'three')
  assert.equal(await lab.shell('systemctl is-active etcd'), 'active')
})
