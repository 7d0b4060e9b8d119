import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { after, before, test } from 'node:test'
import { Script } from 'node:vm'
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

test('what is loaded late is asked for in a way that a script of vm has', () => {
  for (const name of readdirSync(join(folder, 'lib')).filter((each) => each.endsWith('.cjs'))) {
    assert.doesNotMatch(readFileSync(join(folder, 'lib', name), 'utf8'), /[^.\w$]import\(/, name)
  }
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
  assert.deepEqual(loadedBy('--version'), ['forerun.cjs'])
  const compiled = `lib/program-${process.version}-${process.arch}.cache`
  assert.deepEqual(loadedBy('help'), ['forerun.cjs', compiled, 'lib/program.cjs'])
})

/** The files of the bundle that are read, by name. */
function loadedBy(...words: string[]): string[] {
  const list = join(mkdtempSync(join(folder, 'loaded-')), 'list')
  const env = { ...process.env, LOADED_LIST: list }
  const { status, stderr } = spawnSync(process.execPath, ['--require', listLoaded(), bundle, ...words], {
    encoding: 'utf8',
    env,
  })
  assert.deepEqual([status, stderr], [0, ''])
  const loaded = new Set(readFileSync(list, 'utf8').split('\n').slice(0, -1))
  return [...loaded].map((path) => relative(folder, path)).sort()
}

/** Writes the path of each file of the bundle that is read, or loaded as a module, to the file LOADED_LIST. */
function listLoaded(): string {
  const path = join(folder, 'list-loaded.cjs')
  writeFileSync(
    path,
    `const fs = require('node:fs')
     const { fileURLToPath } = require('node:url')
     const list = (path) => path.startsWith(${JSON.stringify(folder)}) && fs.appendFileSync(process.env.LOADED_LIST, path + '\\n')
     const { readFileSync } = fs
     fs.readFileSync = (path, ...options) => {
       if (typeof path === 'string') list(path)
       return readFileSync(path, ...options)
     }
     require('node:module').registerHooks({
       load(url, context, next) {
         if (url.startsWith('file:')) list(fileURLToPath(url))
         return next(url, context)
       },
     })`,
  )
  return path
}

test('V8 takes what it has compiled, and does without it', () => {
  const compiled = join(folder, 'lib', `program-${process.version}-${process.arch}.cache`)
  const path = join(folder, 'lib/program.cjs')
  const script = new Script(readFileSync(path, 'latin1'), { filename: path, cachedData: readFileSync(compiled) })
  assert.equal(script.cachedDataRejected, false)
  renameSync(compiled, `${compiled}.away`)
  const absent = spawnSync(process.execPath, [bundle, 'help'], { encoding: 'utf8' })
  writeFileSync(compiled, 'of another V8')
  const other = spawnSync(process.execPath, [bundle, 'help'], { encoding: 'utf8' })
  renameSync(`${compiled}.away`, compiled)
  for (const { status, stderr, stdout } of [absent, other]) {
    assert.deepEqual([status, stderr], [0, ''])
    assert.match(stdout, /^Usage: forerun /)
  }
})

test('equal sources make equal bytes, also of what V8 compiles', async () => {
  using again = scratch()
  await buildBundle(again.path)
  for (const name of readdirSync(join(folder, 'lib'))) {
    const [one, two] = [folder, again.path].map((each) => readFileSync(join(each, 'lib', name)))
    assert.ok(two !== undefined && one?.equals(two), name)
  }
})

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
