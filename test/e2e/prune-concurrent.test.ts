import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { VerifyResult } from '../../src/operations/integrity/verify.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** Installs and pulls while others remove what nothing needs. */
let lab: InstalledHost
const store = '/var/lib/forerun/store'

before(async () => {
  lab = await installedHost({ settle: 0.5 })
})
after(() => lab[Symbol.asyncDispose]())

test('prunes that run beside twenty installs remove nothing that a container needs', async () => {
  const exports = serviceExports(['sleep', 'infinity'])
  const images: string[] = []
  for (let at = 0; at < 5; at++) {
    images.push(await lab.push(`app${at}`, busyboxImage({ layers: [{ 'srv/own': `${at}` }], exports })))
  }
  const run = (...words: string[]) => lab.host.exec(['forerun', ...words], { timeout: 600_000 })
  let installing = true
  let prunes = 0
  const pruning = async (): Promise<void> => {
    while (installing) {
      await run('images', 'prune')
      prunes++
      // Who asks for the lock again at once would keep the others from it.
      await sleep(500)
    }
  }
  const loop = pruning()
  const installs = Array.from({ length: 20 }, (_, at) => run('install', '--name', `c${at}`, images[at % 5] ?? ''))
  await Promise.all(installs).finally(() => {
    installing = false
  })
  await loop
  assert.ok(prunes > 0)
  const { json } = await lab.must<VerifyResult>('verify', '--all', '--json')
  assert.deepEqual([json.images, json.containers, json.damaged], [5, 20, []])
  await lab.must('containers', 'delete', '--all', '--force')
})

test('what is left of pulls that were killed goes with the next prune', async () => {
  const content = Buffer.alloc(8_000_000)
  for (let at = 0; at < content.length; at += 4) content.writeUInt32LE((at * 2654435761) % 2 ** 32, at)
  const files = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`srv/${at}`, `file ${at}`]))
  const image = await lab.push('large', busyboxImage({ layers: [{ 'srv/large': content, ...files }] }))
  const listed = `cd ${store} && find . ! -type d ! -name images.json -printf '%P %s %T@ %i\\n' | sort`
  const whole = await lab.shell(listed)
  for (const delay of [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.2]) {
    await lab.host.exec(['timeout', '-s', 'KILL', String(delay), 'forerun', 'pull', image], { check: false })
    const { json } = await lab.must<{ repository: string }[]>('images', 'list', '--json')
    if (json.some(({ repository }) => repository.endsWith('/large'))) {
      await lab.must('verify', image)
      await lab.must('images', 'delete', image)
    }
    await lab.must('images', 'prune')
    assert.equal(await lab.shell(listed), whole, `killed after ${delay} s`)
    assert.equal(await lab.shell(`ls -A ${store} | grep '^\\.' || true`), '')
  }
})
