// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the braces are those of the templates under test
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseExportsManifest } from '../../src/bundle/exports-manifest.ts'
import { type HostFile, planHostFiles } from '../../src/bundle/host-files.ts'
import { imageFiles } from './image-in-memory.ts'

const values = new Map([
  ['NAME', 'etcd2'],
  ['DIR', '/opt/x'],
  ['UP', '../..'],
  ['TEXT', 'ü'],
])

function plan(files: Record<string, string | Buffer>, manifest: object = {}): HostFile[] {
  const content = Object.fromEntries(Object.entries(files).map(([path, text]) => [`/exports/hostfs/${path}`, text]))
  return planHostFiles(imageFiles(content), parseExportsManifest(JSON.stringify(manifest)), { values })
}

function paths(files: Record<string, string>, renameFiles: Record<string, string>): string[] {
  return plan(files, { renameFiles }).map(({ path }) => path)
}

test('files go to the same path on the host, parents first', () => {
  assert.deepEqual(plan({ 'usr/bin/x': 'X', 'usr/': '', 'etc/l': '-> ../usr/bin/x' }), [
    { kind: 'symlink', path: '/etc/l', target: '../usr/bin/x', uid: 0, gid: 0 },
    { kind: 'directory', path: '/usr', mode: 0o755, uid: 0, gid: 0 },
    { kind: 'file', path: '/usr/bin/x', mode: 0o755, uid: 0, gid: 0, source: '/exports/hostfs/usr/bin/x' },
  ])
})

test('a file is renamed, with variables', () => {
  assert.deepEqual(paths({ 'usr/local/bin/etcdctl': '' }, { '/usr/local/bin/etcdctl': '/usr/local/bin/${NAME}ctl' }), [
    '/usr/local/bin/etcd2ctl',
  ])
})

test('a renamed directory renames what is under it, and no path that only begins like it', () => {
  assert.deepEqual(
    paths({ 'etc/app/': '', 'etc/app/a': '', 'etc/app/sub/b': '', 'etc/application': '' }, { '/etc/app/': '$DIR/' }),
    ['/etc/application', '/opt/x', '/opt/x/a', '/opt/x/sub/b'],
  )
})

test('the longest renamed path decides, and a new name is not renamed again', () => {
  const renames = { '/a': '/b', '/a/b/c': '/z', '/a/b': '/a', '/z': '/never' }
  assert.deepEqual(paths({ 'a/x': '', 'a/b/y': '', 'a/b/c': '' }, renames), ['/a/y', '/b/x', '/z'])
})

test('installed templates are rendered, found by their path before renaming, and bytes that are no text kept', () => {
  const content = Buffer.concat([Buffer.from('name=$NAME $$ ${TEXT} '), Buffer.from([0xff, 0xfe])])
  const [file] = plan(
    { 'etc/x.conf': content },
    { installedFilesTemplate: ['/etc/x.conf', '/etc/absent'], renameFiles: { '/etc/x.conf': '/etc/$NAME.conf' } },
  )
  assert.ok(file?.kind === 'file')
  assert.equal(file.path, '/etc/etcd2.conf')
  assert.deepEqual(file.rendered, Buffer.concat([Buffer.from('name=etcd2 $ ü '), Buffer.from([0xff, 0xfe])]))
})

test('a variable without value in a template or in a new name is named with its file', () => {
  assert.throws(() => plan({ 'etc/x': '$ABSENT' }, { installedFilesTemplate: ['/etc/x'] }), {
    message: "The template file '/exports/hostfs/etc/x' still contains an unreplaced value for: ''ABSENT''",
  })
  assert.throws(() => paths({ 'etc/x': '' }, { '/etc/x': '/etc/$ABSENT' }), {
    message: "The template file '/exports/manifest.json' still contains an unreplaced value for: ''ABSENT''",
  })
})

for (const name of ['/../etc/passwd', '/etc/$UP/x', '/', '', '/a\0b']) {
  test(`the new name ${JSON.stringify(name)} is refused`, () => {
    assert.throws(() => paths({ 'etc/x': '' }, { '/etc/x': name }), { code: 'exports', message: /'\/etc\/x'/ })
  })
}

test('two files at one place are refused, also a file where another needs a directory', () => {
  assert.throws(() => paths({ a: '', b: '' }, { '/a': '/b' }), { code: 'exports', message: /'\/b'/ })
  assert.throws(() => paths({ a: '', 'd/x': '' }, { '/a': '/d' }), { code: 'exports', message: /'\/d'/ })
  assert.throws(() => paths({ a: '-> /etc', 'd/x': '' }, { '/a': '/d' }), { code: 'exports', message: /'\/d'/ })
  assert.throws(() => paths({ 'a/': '', d: '' }, { '/a': '/d' }), { code: 'exports', message: /'\/d'/ })
})

test('two directories may become one', () => {
  assert.deepEqual(paths({ 'a/': '', 'a/x': '', 'b/': '', 'b/y': '' }, { '/a': '/b' }), ['/b', '/b/x', '/b/y'])
})

test('a path that is longer than programs can use is refused', () => {
  assert.throws(() => plan({ [`${'long/'.repeat(800)}x`]: '' }), {
    code: 'exports',
    message: /A host file of the image has a path of 4002 bytes: '\/long\//,
  })
})

test('no host file goes where the kernel makes the files', () => {
  for (const path of ['proc/1/x', 'sys/x', 'dev/fd/9', 'proc/folder/']) {
    assert.throws(() => plan({ [path]: '' }), {
      code: 'exports',
      message: `The image has a host file '/${path.replace(/\/$/, '')}', and /${path.split('/', 1)[0]} holds no files`,
    })
  }
  const renamed = () => plan({ 'etc/x': '' }, { renameFiles: { '/etc/x': '/proc/sys/x' } })
  assert.throws(renamed, { code: 'exports', message: /'\/proc\/sys\/x'/ })
  assert.deepEqual(paths({ 'proc/': '', 'process/x': '' }, {}), ['/proc', '/process/x'])
})

test('templates that together render to very much are refused', () => {
  const names = Array.from({ length: 30 }, (_, index) => `etc/${index}`)
  const files = Object.fromEntries(names.map((name) => [name, '$BIG'.repeat(9)]))
  const manifest = { defaultValues: {}, installedFilesTemplate: names.map((name) => `/${name}`) }
  const content = Object.fromEntries(Object.entries(files).map(([path, text]) => [`/exports/hostfs/${path}`, text]))
  const big = new Map([['BIG', 'x'.repeat(100_000)]])
  assert.throws(
    () => planHostFiles(imageFiles(content), parseExportsManifest(JSON.stringify(manifest)), { values: big }),
    {
      code: 'limit',
      message: /^The image's host files that are templates have more than 16777216 bytes together$/,
    },
  )
})

test('a name that is no UTF-8 is refused: it would come out as another', () => {
  const files = imageFiles({ '/exports/hostfs/etc/caf\xe9': 'x' })
  const manifest = parseExportsManifest('{}')
  assert.throws(() => planHostFiles(files, manifest, { values: new Map() }), { code: 'exports', message: /no UTF-8/ })
  const utf8 = imageFiles({ '/exports/hostfs/etc/caf\xc3\xa9': 'x' })
  assert.equal(planHostFiles(utf8, manifest, { values: new Map() }).length, 1)
})
