import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { assembleImage, writeLayout } from '../lab/image.ts'
import { packLayer, sha256 } from '../lab/layer.ts'
import { random } from '../lab/random.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** How a command ends: `process.exit` hung once in eighty times, since threads in which V8 compiles waited for the main thread. */
let lab: InstalledHost

before(async () => {
  lab = await installedHost()
})
after(() => lab[Symbol.asyncDispose]())

const seed = 4_711

test(`pulls of layers that are damaged somewhere, from seed ${seed}, all come to their end`, async () => {
  const chance = random(seed)
  const layers = await Promise.all([1, 2].map((name) => packLayer({ [`data/${name}`]: chance.bytes(6 * 1024 ** 2) })))
  const image = assembleImage(layers)
  await writeLayout(image, join(lab.host.root, 'srv/layout'))
  const files = layers.map(({ bytes }) => join(lab.host.root, 'srv/layout/blobs', sha256(bytes).replace(':', '/')))
  for (let round = 0; round < 6; round++) {
    const file = chance.pick(files)
    const bytes = readFileSync(file)
    const damaged = Buffer.from(bytes)
    const at = chance.below(bytes.length)
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at)
    writeFileSync(file, damaged)
    const script = 'for i in 1 2 3 4 5; do timeout 120 forerun pull --quiet oci:/srv/layout; echo $?; done'
    const { stdout, stderr } = await lab.host.exec(['sh', '-c', script])
    assert.equal(stdout, '1\n'.repeat(5), `round ${round}, byte ${at}: ${stderr}`)
    writeFileSync(file, bytes)
  }
  await lab.must('pull', 'oci:/srv/layout')
})

test('a command whose reader goes away, or whose output has no room, leaves in order, too', async () => {
  const pipe = await lab.shell('forerun images list --json | true; forerun help | true; echo ended')
  assert.equal(pipe, 'ended')
  const { status, stderr } = await lab.host.exec(['sh', '-c', 'forerun images list --json >/dev/full'], {
    check: false,
  })
  assert.deepEqual([status, stderr.split('\n')[0]], [1, 'forerun: no space left on the device (write)'])
})
