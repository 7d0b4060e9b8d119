import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import manifest from '../../package.json' with { type: 'json' }
import { buildBundle } from '../../packaging/build.ts'
import { scratch } from '../store/scratch.ts'

const held = scratch()
const folder = held.path
const bundle = join(folder, 'forerun.cjs')

before(() => buildBundle(folder))
after(() => held[Symbol.dispose]())

test('the bundle runs by itself, far from node_modules', () => {
  assert.equal(statSync(bundle).mode & 0o777, 0o755)
  const { status, stdout, stderr } = spawnSync(process.execPath, [bundle, '--version'], { encoding: 'utf8', cwd: '/' })
  assert.deepEqual([status, stdout.trim(), stderr], [0, manifest.version, ''])
  const help = spawnSync(process.execPath, [bundle, 'help'], { encoding: 'utf8', cwd: '/' })
  assert.match(help.stdout, /^Usage: forerun /)
  assert.deepEqual([help.status, help.stderr], [0, ''])
})

test('a Node that is too old is told in one line which one is needed', () => {
  const pretend = join(folder, 'pretend.cjs')
  writeFileSync(
    pretend,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.9.0' } })
     Object.defineProperty(process, 'version', { value: 'v22.9.0' })`,
  )
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-r', pretend, bundle, '--version'], {
    encoding: 'utf8',
  })
  assert.deepEqual([status, stdout], [1, ''])
  assert.equal(stderr, 'forerun needs Node 24 or newer; this is v22.9.0\n')
})

test('the licences of all bundled packages lie beside the bundle', () => {
  const text = readFileSync(join(folder, 'LICENSE.packages'), 'utf8')
  for (const name of Object.keys(manifest.dependencies)) assert.match(text, new RegExp(`^${name} \\d`, 'm'), name)
  assert.ok((text.match(/Permission is hereby granted/g) ?? []).length > 5)
})

test('no more of the program is loaded than a command needs', () => {
  assert.deepEqual(loadedBy('--version'), { files: 1, bytes: statSync(bundle).size })
  const { files, bytes } = loadedBy('help')
  assert.ok(files > 1 && bytes < 250_000, `${bytes} bytes in ${files} files`)
})

/** What Node has read of the bundle when the command has succeeded. */
function loadedBy(...words: string[]): { files: number; bytes: number } {
  const list = join(mkdtempSync(join(folder, 'loaded-')), 'list')
  const env = { ...process.env, LOADED_LIST: list }
  const { status, stderr } = spawnSync(process.execPath, ['--import', listLoaded, bundle, ...words], {
    encoding: 'utf8',
    env,
  })
  assert.deepEqual([status, stderr], [0, ''])
  const loaded = readFileSync(list, 'utf8').split('\n').slice(0, -1)
  const files = new Set(loaded.filter((url) => /^file:.*\.[cm]js$/.test(url)).map((url) => fileURLToPath(url)))
  return { files: files.size, bytes: [...files].reduce((sum, file) => sum + statSync(file).size, 0) }
}

/** Writes the address of each module that is loaded to the file LOADED_LIST. */
const listLoaded = `data:text/javascript,${encodeURIComponent(`
  import { appendFileSync } from 'node:fs'
  import { registerHooks } from 'node:module'
  registerHooks({
    load(url, context, next) {
      appendFileSync(process.env.LOADED_LIST, url + '\\n')
      return next(url, context)
    },
  })`)}`

test('the version goes to a pipe that nobody reads, and to a full disk, without a stack trace', () => {
  for (const [place, wanted] of [
    ['| true', [0, '']],
    ['>/dev/full', [1, 'forerun: ENOSPC: no space left on device, write\n']],
  ] as const) {
    const line = `"$0" "$1" --version ${place}`
    const { status, stderr } = spawnSync('sh', ['-c', line, process.execPath, bundle], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], wanted)
  }
})

test('an old Node can parse the bundle', async () => {
  const text = readFileSync(bundle, 'utf8')
  // Lowering again what is low already changes nothing: with syntax that is too new, the text would become another.
  const formatted = await transform(text, { target: 'esnext', logLevel: 'silent' })
  const lowered = await transform(text, { target: 'node12.20', logLevel: 'silent' })
  assert.equal(lowered.code === formatted.code, true)
})
