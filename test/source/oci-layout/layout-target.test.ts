import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ForerunError } from '../../../src/errors.ts'
import type { ForerunEvent } from '../../../src/events.ts'
import { digestHex, digestOf } from '../../../src/image/digest.ts'
import { layoutTarget } from '../../../src/source/oci-layout/layout-target.ts'
import { scratch } from '../../store/scratch.ts'
import { contentOf, contextOf, entries, faultsOf, manifestOf, writeImage } from './writing.ts'

const one = Buffer.from('the blob of one image')
const two = Buffer.from('the blob of another image')

test('a folder that is not there, or is empty, becomes a layout', async () => {
  using parent = scratch()
  mkdirSync(join(parent.path, 'empty'))
  for (const name of ['empty', 'new', 'deeper/new']) {
    const folder = join(parent.path, name)
    assert.equal(await writeImage(folder, { name: '3.5', blob: one }), 'sent')
    assert.deepEqual(entries(folder), { '3.5': digestOf(manifestOf(one)) })
    assert.deepEqual(faultsOf(folder), [])
    assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'oci-layout'])
  }
})

test('other entries, and what forerun does not know of them, stay; an entry of the same name is replaced', async () => {
  using folder = scratch()
  await writeImage(folder.path, { name: 'a', blob: one })
  await writeImage(folder.path, { name: 'b', blob: one })
  const path = join(folder.path, 'index.json')
  const index = JSON.parse(readFileSync(path, 'utf8'))
  index.manifests[0].later = { unknown: true }
  writeFileSync(path, JSON.stringify({ ...index, annotations: { of: 'the index' } }))
  await writeImage(folder.path, { name: 'b', blob: two })
  const after = JSON.parse(readFileSync(path, 'utf8'))
  assert.deepEqual(entries(folder.path), { a: digestOf(manifestOf(one)), b: digestOf(manifestOf(two)) })
  assert.deepEqual([after.manifests[0].later, after.annotations], [{ unknown: true }, { of: 'the index' }])
})

test('images without a name stand side by side, each once', async () => {
  using folder = scratch()
  for (const blob of [one, two, one]) await writeImage(folder.path, { name: undefined, blob })
  assert.equal(JSON.parse(readFileSync(join(folder.path, 'index.json'), 'utf8')).manifests.length, 2)
})

test('what is no layout is refused and stays as it is', async () => {
  using parent = scratch()
  const cases: [name: string, content: Record<string, string>, message: RegExp][] = [
    ['photos', { 'a.jpg': 'x' }, /'.*photos' is no OCI layout: it holds other things/],
    ['web', { 'index.json': '{}' }, /holds other things/],
    ['future', { 'oci-layout': '{"imageLayoutVersion":"2.0.0"}', 'index.json': '{}' }, /version is '2\.0\.0'/],
  ]
  for (const [name, content, message] of cases) {
    const folder = join(parent.path, name)
    mkdirSync(folder)
    for (const [file, text] of Object.entries(content)) writeFileSync(join(folder, file), text)
    await assert.rejects(writeImage(folder, { name: 'x', blob: one }), { code: 'archive', message })
    assert.deepEqual(readdirSync(folder).sort(), Object.keys(content).sort())
  }
  writeFileSync(join(parent.path, 'file'), '')
  for (const name of ['file', 'file/below']) {
    const writing = writeImage(join(parent.path, name), { name: 'x', blob: one })
    await assert.rejects(writing, { code: 'archive', message: /it is no folder/ })
  }
})

test('a damaged index is refused and stays as it is', async () => {
  using folder = scratch()
  await writeImage(folder.path, { name: 'a', blob: one })
  for (const text of ['{"schemaVersion":2,', '{"schemaVersion":2,"manifests":{}}', '[]']) {
    writeFileSync(join(folder.path, 'index.json'), text)
    await assert.rejects(writeImage(folder.path, { name: 'b', blob: two }), {
      code: 'manifest',
      message: /index\.json/,
    })
    assert.equal(readFileSync(join(folder.path, 'index.json'), 'utf8'), text)
  }
})

test('a name that no entry can have is refused before anything is touched', () => {
  for (const image of ['@1', 'a b', '-a', 'a/', 'ä']) {
    assert.throws(() => layoutTarget('/nowhere', { image }), { code: 'reference' })
  }
  for (const image of ['3.5', 'registry.example:5000/team/app:1.0-rc.1', 'v1--x', 'a+b_c@d']) {
    assert.equal(layoutTarget('/nowhere', { image }).name, `oci:/nowhere:${image}`)
  }
})

test('a blob that the layout has is not read again; one that is torn is replaced', async () => {
  using folder = scratch()
  await writeImage(folder.path, { name: 'a', blob: one })
  const open = () => assert.fail('the blob is there')
  assert.equal(await writeImage(folder.path, { name: 'b', blob: one, open }), 'present')
  writeFileSync(join(folder.path, 'blobs/sha256', digestHex(digestOf(one))), Buffer.alloc(one.length))
  assert.equal(await writeImage(folder.path, { name: 'c', blob: one }), 'sent')
  assert.deepEqual(faultsOf(folder.path), [])
})

test('content that fails leaves no blob, no entry and no other file', async () => {
  using folder = scratch()
  await writeImage(folder.path, { name: 'a', blob: one })
  const before = readdirSync(folder.path, { recursive: true }).sort()
  async function* failing(): AsyncGenerator<Buffer> {
    yield two.subarray(0, 5)
    throw new ForerunError('digest', 'not what it should be')
  }
  await assert.rejects(writeImage(folder.path, { name: 'b', blob: two, open: failing }), { code: 'digest' })
  assert.deepEqual(readdirSync(folder.path, { recursive: true }).sort(), before)
})

test('an interruption ends the writing', async () => {
  using folder = scratch()
  const controller = new AbortController()
  async function* interrupting(): AsyncGenerator<Buffer> {
    controller.abort()
    yield* contentOf(two)
  }
  const context = contextOf([], controller.signal)
  const writing = writeImage(folder.path, { name: 'b', blob: two, open: interrupting }, context)
  await assert.rejects(writing, { code: 'interrupted' })
  assert.deepEqual(entries(folder.path), {})
  assert.deepEqual(faultsOf(folder.path), [])
})

test("a manifest of Docker's is written as it is, and told of", async () => {
  using folder = scratch()
  const events: ForerunEvent[] = []
  await using target = layoutTarget(folder.path, { image: 'x' })
  const bytes = manifestOf(one)
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json'
  await target.writeManifest({ mediaType, digest: digestOf(bytes), bytes }, contextOf(events))
  assert.match(JSON.stringify(events), /schema 2/)
  assert.deepEqual(faultsOf(folder.path), [])
})

test('a kill leaves a layout with what it had, and the next writer clears up', async () => {
  using folder = scratch()
  await writeImage(folder.path, { name: 'a', blob: one })
  for (const name of ['.index.json.0123456789ab', '.unrelated']) writeFileSync(join(folder.path, name), 'x')
  const dying = writer(folder.path, 'b', two.toString(), 'wait')
  assert.ok(dying.stdout)
  await once(dying.stdout, 'data')
  assert.equal(temporaries(folder.path).length, 1)
  // The file of a writer that lives is not cleared away.
  await writeImage(folder.path, { name: 'c', blob: one })
  assert.equal(temporaries(folder.path).length, 1)
  dying.kill('SIGKILL')
  await once(dying, 'exit')
  assert.deepEqual(Object.keys(entries(folder.path)), ['a', 'c'])
  assert.deepEqual(faultsOf(folder.path), [])
  await writeImage(folder.path, { name: 'b', blob: two })
  assert.deepEqual(Object.keys(entries(folder.path)), ['a', 'c', 'b'])
  assert.deepEqual(readdirSync(folder.path).sort(), ['.unrelated', 'blobs', 'index.json', 'oci-layout'])
})

test('a folder in which the very beginning was cut short becomes a layout', async () => {
  using folder = scratch()
  mkdirSync(join(folder.path, 'blobs/sha256'), { recursive: true })
  writeFileSync(join(folder.path, 'index.json'), '{"schemaVersion":2,"manifests":[]}')
  writeFileSync(join(folder.path, '.oci-layout.0123456789ab'), '')
  await writeImage(folder.path, { name: 'a', blob: one })
  assert.deepEqual(faultsOf(folder.path), [])
  assert.deepEqual(readdirSync(folder.path).sort(), ['blobs', 'index.json', 'oci-layout'])
})

test('processes that write at once, with one blob in common, lose no entry', async () => {
  using parent = scratch()
  const folder = join(parent.path, 'layout')
  const names = Array.from({ length: 6 }, (_, index) => `n${index}`)
  const children = names.map((name, index) => writer(folder, name, index % 2 === 0 ? 'common' : `own ${name}`))
  const statuses = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))
  assert.deepEqual(
    statuses,
    names.map(() => 0),
  )
  assert.deepEqual(Object.keys(entries(folder)).sort(), names)
  assert.deepEqual(faultsOf(folder), [])
  assert.deepEqual(temporaries(folder), [])
})

test('a blob of another process that gets its own name while its folder is looked through does no harm', async () => {
  using folder = scratch()
  await writeImage(folder.path, { name: 'a', blob: one })
  // As such a one looks: its name was read, and nothing is there when it is opened.
  symlinkSync('nowhere', join(folder.path, '.forerun-0123456789ab'))
  await writeImage(folder.path, { name: 'b', blob: two })
  assert.deepEqual(Object.keys(entries(folder.path)), ['a', 'b'])
})

test('the descriptor of an entry is that of the manifest', async () => {
  using folder = scratch()
  await writeImage(folder.path, { name: 'a', blob: one })
  const [entry] = JSON.parse(readFileSync(join(folder.path, 'index.json'), 'utf8')).manifests
  const bytes = manifestOf(one)
  assert.deepEqual([entry.digest, entry.size], [digestOf(bytes), bytes.length])
})

function writer(...words: string[]): ChildProcess {
  const script = join(import.meta.dirname, 'writer.ts')
  return spawn(process.execPath, [script, ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
}

function temporaries(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('.forerun-'))
}
