import assert from 'node:assert/strict'
import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { containersStorageSource } from '../../../src/source/containers-storage/containers-storage-source.ts'
import { assembleImage, writeLayout } from '../../lab/image.ts'
import { packLayer } from '../../lab/layer.ts'
import { context, folder, here, readWhole, refused } from '../reading-files.ts'

const image = assembleImage([await packLayer({ a: 'one' }, { compression: 'none' })])

/** A program in place of skopeo, whose last word is `oci:PATH:NAME`. */
function program(t: TestContext, script: string): string {
  const path = join(folder(t), 'skopeo')
  writeFileSync(path, `#!/bin/sh\nset -e\nfor last; do :; done; path="\${last#oci:}"; path="\${path%:*}"\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}

test('what skopeo copies is read, and removed at the end', async (t) => {
  const layout = join(folder(t), 'layout')
  await writeLayout(image, layout, { tag: 'image' })
  const place = folder(t)
  const skopeo = program(t, `cp -r ${layout} "$path"`)
  const names: [string, string][] = [
    ['localhost/app:1', 'localhost/app:1'],
    ['etcd', 'docker.io/library/etcd:latest'],
    ['[overlay@/srv]localhost/app:1', 'localhost/app:1'],
    ['@0123abcd', 'localhost/0123abcd:latest'],
  ]
  for (const [name, reference] of names) {
    const resolved = await readWhole(containersStorageSource({ image: name }, { folder: place, skopeo }))
    assert.equal(resolved.digest, image.digest)
    assert.equal(resolved.reference, reference)
    assert.deepEqual(readdirSync(place), [])
  }
})

test('what skopeo says is one error, and nothing is left of what it wrote', async (t) => {
  const place = folder(t)
  const read = (skopeo: string) => readWhole(containersStorageSource({ image: 'app' }, { folder: place, skopeo }))
  const said = (message: string) =>
    program(t, `mkdir "$path"; echo 'time="x" level=fatal msg="${message}"' >&2; exit 1`)
  await refused(read(said('reference \\"app\\" does not resolve to an image ID: identifier is not an image')), {
    code: 'image-not-found',
    message: /no image 'app'/,
  })
  await refused(read(said('open \\"/x\\": permission denied')), {
    code: 'archive',
    message: /"\/x": permission denied$/,
  })
  await refused(read(program(t, 'exit 3')), { code: 'archive', message: /failed without a word/ })
  await refused(read('/nowhere/skopeo'), { code: 'archive', message: /not installed/ })
  assert.deepEqual(readdirSync(place), [])
})

test('a signal ends skopeo', async (t) => {
  const place = folder(t)
  await using source = containersStorageSource({ image: 'app' }, { folder: place, skopeo: program(t, 'exec sleep 20') })
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 100)
  await assert.rejects(source.manifest(here, { ...context, signal: controller.signal }), { code: 'interrupted' })
  assert.deepEqual(readdirSync(place), [])
})
