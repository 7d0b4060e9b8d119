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
