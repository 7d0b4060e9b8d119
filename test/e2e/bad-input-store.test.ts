import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { assertRefused, impatientHost, serviceWith } from './bad-input.ts'
import { type InstalledHost, until } from './installed-host.ts'

/** A store that something has damaged: what can be fetched again is, and everything else is told. */
let lab: InstalledHost
let image: string
let store: string

before(async () => {
  lab = await impatientHost()
  image = await lab.push('good/app', serviceWith())
  await lab.must('pull', image)
  store = join(lab.host.root, 'var/lib/forerun/store')
})
after(() => lab[Symbol.asyncDispose]())

async function assertInstalls(): Promise<void> {
  await lab.must('install', '--now', image)
  await until('the container runs', async () => (await lab.property('app.service', 'ActiveState')) === 'active')
  await lab.must('uninstall', 'app')
}

test('a damaged list of images is told, with what to do, and mended by doing it', async () => {
  const file = join(store, 'images.json')
  const good = readFileSync(file, 'utf8')
  const complaint = { code: 'store', message: /list of images '.*images\.json' is damaged/ }
  for (const damaged of [good.slice(0, 100), '', 'null', '{"images": [{}]}']) {
    writeFileSync(file, damaged)
    await assertRefused(lab, ['install', image], complaint)
  }
  for (const words of ['images list', 'images prune']) {
    await assertRefused(lab, words.split(' '), complaint)
  }
  rmSync(file)
  await assertInstalls()
})

test('a damaged or lost layer tree is fetched again', async () => {
  const folder = join(store, 'layers')
  const damages = [
    (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -10)),
    (path: string) => writeFileSync(path, ''),
    (path: string) => rmSync(path),
  ]
  for (const damage of damages) {
    for (const name of readdirSync(folder)) damage(join(folder, name))
    await assertInstalls()
  }
})

test('a lost or damaged manifest or configuration is fetched again', async () => {
  const folder = join(store, 'blobs')
  for (const name of readdirSync(folder)) {
    writeFileSync(join(folder, name), 'x')
    await assertInstalls()
    rmSync(join(folder, name))
    await assertInstalls()
  }
})

test('a lost object is fetched again', async () => {
  const folder = join(store, 'objects')
  const objects = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  assert.ok(objects.length > 3)
  for (const { parentPath, name } of objects) rmSync(join(parentPath, name))
  await assertInstalls()
})

test('a damaged info file of a container is told', async () => {
  await lab.must('install', image)
  const info = join(lab.host.root, 'var/lib/forerun/containers/app.0/info')
  const good = readFileSync(info)
  for (const damaged of ['{"image":', '{}']) {
    writeFileSync(info, damaged)
    for (const words of [
      ['uninstall', 'app'],
      ['images', 'prune'],
    ]) {
      await assertRefused(lab, words, { code: 'store', message: /app\.0\/info' is damaged or missing/ })
    }
    const { stdout, stderr } = await lab.must('containers', 'list', '--all')
    assert.match(stdout, /^app .* damaged /m)
    assert.match(stderr, /app\.0\/info' is damaged or missing/)
  }
  writeFileSync(info, good)
  await lab.must('uninstall', 'app')
})
