import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { readSettings } from '../../src/config/settings.ts'
import { parseUpdateWindow } from '../../src/config/update-window.ts'
import { defaultLayerLimits } from '../../src/image/layer-limits.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'forerun-settings-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const main = '/etc/forerun/forerun.conf'

test('without files there are defaults', () => {
  assert.deepEqual(readSettings({ root }), {
    store: { path: '/var/lib/forerun/store', keepBlobs: false },
    containers: { path: '/var/lib/forerun/containers', checkout: 'auto', readOnly: false },
    install: { acceptPrivileges: 'ask' },
    service: { settle: 2000 },
    update: { settle: 10_000, window: undefined },
    runtime: { path: 'runc' },
    registry: { retries: 5, timeouts: { connect: 10_000, headers: 60_000, idle: 60_000 }, parallelLayers: 3 },
    limits: defaultLayerLimits,
    output: { backend: 'forerun' },
  })
})

test('every key is understood', () => {
  write(
    main,
    `# a comment
[store]
path = /srv/store
keep-blobs = Yes
; another
[containers]
path="/srv/con tainers"
checkout=copy
read-only=yes
[install]
accept-privileges=no
[service]
settle=0.5
[update]
settle = 30
window = Sat..Sun 02:00-05:00
[runtime]
path=/usr/bin/crun
[registry]
retries=0
timeout=2.5
parallel-layers=8
[limits] # and one more
entries=5
file-size=2G
layer-size=1T
image-entries=10
image-size=2T
path-length=100
path-depth=9
extended-header-size=64k
xattrs=3
xattr-size=1K
compression-ratio=50
[output]
backend=ostree
`,
  )
  assert.deepEqual(readSettings({ root }), {
    store: { path: '/srv/store', keepBlobs: true },
    containers: { path: '/srv/con tainers', checkout: 'copy', readOnly: true },
    install: { acceptPrivileges: 'no' },
    service: { settle: 500 },
    update: { settle: 30_000, window: parseUpdateWindow('Sat..Sun 02:00-05:00') },
    runtime: { path: '/usr/bin/crun' },
    registry: { retries: 0, timeouts: { connect: 2500, headers: 2500, idle: 2500 }, parallelLayers: 8 },
    limits: {
      entries: 5,
      fileSize: 2 * 1024 ** 3,
      layerSize: 1024 ** 4,
      imageEntries: 10,
      imageSize: 2 * 1024 ** 4,
      pathLength: 100,
      pathDepth: 9,
      extendedHeaderSize: 65536,
      xattrs: 3,
      xattrSize: 1024,
      compressionRatio: 50,
    },
    output: { backend: 'ostree' },
  })
})

test('a later file wins, key by key', () => {
  write('/usr/lib/forerun/forerun.conf', '[registry]\nretries=1\n[store]\npath=/vendor\n[runtime]\npath=vendor\n')
  write(main, '[registry]\nretries=2\n[store]\npath=/host\n')
  write('/etc/forerun/forerun.conf.d/20-b.conf', '[registry]\nretries=20\n')
  write('/etc/forerun/forerun.conf.d/10-a.conf', '[registry]\nretries=10\n')
  write('/etc/forerun/forerun.conf.d/30-c.conf.bak', 'garbage')
  const { registry, store, runtime } = readSettings({ root })
  assert.deepEqual([registry.retries, store.path, runtime.path], [20, '/host', 'vendor'])
})

describe('a mistake is named with file and line', () => {
  const mistakes: [text: string, message: string, hint: RegExp][] = [
    ['[stor]', 'forerun.conf:1: unknown section [stor]', /\[store\], \[containers\]/],
    ['[store]\n\npaht=/x', "forerun.conf:3: unknown key 'paht' in [store]", /^Known are: path, keep-blobs\.$/],
    ['[store]\n__proto__=/x', "forerun.conf:2: unknown key '' in [store]", /path/],
    ['[store]\npath[]=/x', "forerun.conf:2: unknown key 'path[]' in [store]", /path/],
    ['path=/x', "forerun.conf:1: 'path=/x' is not understood", /\[section\]/],
    ['[store]\ngarbage', "forerun.conf:2: 'garbage' is not understood", /KEY=VALUE/],
    ['[store]\nkeep-blobs=maybe', "forerun.conf:2: keep-blobs cannot be 'maybe'", /yes or no/],
    ['[store]\npath=store', "forerun.conf:2: path cannot be 'store'", /absolute path/],
    ['[store]\npath=', "forerun.conf:2: path cannot be ''", /absolute path/],
    [
      '[containers]\ncheckout=true',
      "forerun.conf:2: checkout cannot be 'true'",
      /one of auto, reflink, hardlink, copy, overlay/,
    ],
    ['[runtime]\npath=./runc', "forerun.conf:2: path cannot be './runc'", /name or its absolute path/],
    ['[registry]\nretries=-1', "forerun.conf:2: retries cannot be '-1'", /from 0 to 100/],
    ['[registry]\nparallel-layers=0', "forerun.conf:2: parallel-layers cannot be '0'", /from 1 to 64/],
    ['[registry]\ntimeout=soon', "forerun.conf:2: timeout cannot be 'soon'", /seconds/],
    ['[limits]\nfile-size=1X', "forerun.conf:2: file-size cannot be '1X'", /K, M, G or T/],
    ['[limits]\nfile-size=0', "forerun.conf:2: file-size cannot be '0'", /above 0/],
    ['[limits]\nfile-size=999999999999999T', "forerun.conf:2: file-size cannot be '999999999999999T'", /above 0/],
  ]
  for (const [text, message, hint] of mistakes) {
    test(JSON.stringify(text), () => {
      write(main, text)
      assert.throws(() => readSettings({ root }), {
        code: 'settings',
        message: join(root, '/etc/forerun', message.startsWith('forerun.conf') ? message : ''),
        hint,
      })
    })
  }
  test('a file that cannot be read', () => {
    mkdirSync(join(root, main), { recursive: true })
    assert.throws(() => readSettings({ root }), { code: 'settings', message: /^cannot read .*forerun\.conf: EISDIR/ })
  })
})

test('the manual tells of every limit', () => {
  const manual = readFileSync(join(import.meta.dirname, '../../packaging/man/forerun.1'), 'utf8').replaceAll('\\-', '-')
  for (const limit of Object.keys(defaultLayerLimits)) {
    const name = limit.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    assert.match(manual, new RegExp(`\n[.]B ${name}\n.*Default [0-9]+[KMG]?[.]\n`), limit)
  }
})
