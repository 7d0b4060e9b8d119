import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { after, before, test } from 'node:test'
import { type BreakingProxy, type Fault, startBreakingProxy } from '../lab/breaking-proxy.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { LabImage } from '../lab/image.ts'
import type { ExecResult } from '../lab/process.ts'
import {
  corrupt,
  cut,
  cutUnannounced,
  dripBody,
  dripHeaders,
  garbage,
  headers,
  hints,
  hugeJson,
  manyHeaders,
  redirect,
  silence,
  stall,
  status,
  wholeInsteadOfRange,
  wrongLength,
} from '../lab/proxy-faults.ts'
import { startRegistry } from '../lab/registry.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { assertComplaint, assertNothingUnfinished } from './bad-input.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/**
 * A real registry behind a proxy that breaks things. Whatever goes wrong, forerun goes on where it can; else it says in one
 * line what was wrong and leaves the host as it was. Here it waits one second for an answer, and tries everything twice.
 */
const image = await busyboxImage({
  layers: [{ blob: randomBytes(6 * 1024 * 1024) }],
  exports: serviceExports(['sleep', 'infinity']),
  compression: 'none',
})
const [digest = '', size = 0] = largestBlob(image)
const layer = new RegExp(`^GET .*/blobs/${digest}$`)
const configuration = new RegExp(`^GET .*/blobs/${image.imageIds[0]}$`)
const manifest = /^GET .*\/manifests\//
const anything = /^GET \/v2\/./

let lab: InstalledHost
let proxy: BreakingProxy
let untouched: Snapshot

before(async () => {
  lab = await installedHost()
  mkdirSync(join(lab.host.root, 'etc/forerun'))
  writeFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), '[registry]\nretries = 1\ntimeout = 1\n')
  await lab.push('team/app:1', image)
  proxy = await startBreakingProxy(lab.registry.address)
  untouched = lab.files()
})
after(async () => {
  await proxy[Symbol.asyncDispose]()
  await lab[Symbol.asyncDispose]()
})

type Rules = readonly (readonly [on: RegExp, fault: Fault, times?: number])[]

/** What must not keep a pull from succeeding, and at most how much of the large layer is to be fetched for it. */
const mended: Record<string, { rules: Rules; served?: number }> = {
  'no fault at all': { rules: [], served: size },
  'a layer that is cut once': { rules: [[layer, cut({ at: 2_000_000 }), 1]], served: size },
  'a layer whose connection is reset once': { rules: [[layer, cut({ at: 2_000_000, reset: true }), 1]], served: size },
  'a layer that falls silent once': { rules: [[layer, stall({ at: 2_000_000 }), 1]], served: size },
  'a layer that is cut again and again, but gets on': { rules: [[layer, cut({ at: 1_200_000 })]], served: size },
  'a layer that is cut before its last byte': { rules: [[layer, cut({ at: size - 1 }), 1]], served: size },
  'a manifest that is cut once': { rules: [[manifest, cut({ at: 100 }), 1]] },
  'a configuration that is cut once': { rules: [[configuration, cut({ at: 100 }), 1]] },
  'a manifest whose length is announced too large once': { rules: [[manifest, wrongLength(7), 1]] },
  'silence once': { rules: [[manifest, silence, 1]] },
  '429 once, with seconds': { rules: [[manifest, status(429, { 'retry-after': '1' }), 1]] },
  '429 once, with a date': {
    rules: [[layer, (exchange) => status(429, { 'retry-after': inSeconds(2) })(exchange), 1]],
  },
  '429 once, without a time': { rules: [[layer, status(429), 1]] },
  '429 once, with a date that is past': { rules: [[layer, status(429, { 'retry-after': inSeconds(-100) }), 1]] },
  '500 once': { rules: [[manifest, status(500), 1]] },
  '503 once, for the layer': { rules: [[layer, status(503, { 'retry-after': '0' }), 1]] },
  'a layer in chunks that is cut once': {
    rules: [[layer, cutUnannounced({ at: 2_000_000, chunked: true }), 1]],
  },
  'a layer without a length that ends early once': {
    rules: [[layer, cutUnannounced({ at: 2_000_000, chunked: false }), 1]],
  },
  'a layer in chunks': { rules: [[layer, headers({ 'content-length': undefined })]] },
  'a layer that is said to be encoded, and is as it was stored': {
    rules: [[layer, headers({ 'content-encoding': 'gzip' })]],
  },
  'garbage once': { rules: [[layer, cut({ at: 0, reset: true }), 1]] },
  'a registry that knows no ranges': {
    rules: [
      [layer, cut({ at: 2_000_000 }), 1],
      [layer, wholeInsteadOfRange],
    ],
    served: size + 2_000_000,
  },
  'a registry that restarts in the middle of a layer': {
    rules: [
      [
        layer,
        async (exchange) => {
          await cut({ at: 2_000_000, reset: true })(exchange)
          proxy.stop()
          setTimeout(() => void proxy.start(), 200)
        },
        1,
      ],
    ],
    served: size,
  },
}

for (const [name, { rules, served }] of Object.entries(mended)) {
  test(`${name}: the pull succeeds`, async () => {
    spoil(rules)
    const { status, stderr } = await bounded('pull', `${proxy.address}/team/app:1`)
    assert.equal(status, 0, stderr)
    if (served !== undefined) assert.ok(proxy.served(layer) <= served, `${proxy.served(layer)} bytes were served`)
    assert.deepEqual(
      storedFiles().filter((path) => path.startsWith('partial/')),
      [],
    )
  })
}

const unrelated = { 'content-range': 'bytes 5-9/10' }
const longer = { 'content-range': `bytes 2000000-${size - 1}/${size + 1}` }
const afterCut = (fault: Fault): Rules => [
  [layer, cut({ at: 2_000_000 }), 1],
  [layer, fault],
]

/** What nothing can mend. */
const refused: Record<string, { rules: Rules; code: string; message: RegExp }> = {
  'a layer that never begins': { rules: [[layer, cut({ at: 0 })]], code: 'registry', message: /was cut, after 2 att/ },
  'a layer that does not get on': {
    rules: [[layer, cut({ at: 1000, reset: true })]],
    code: 'registry',
    message: /was cut, after 2 attempts/,
  },
  'a layer that falls silent': {
    rules: [[layer, stall({ at: 1000 })]],
    code: 'registry',
    message: /fell silent in the middle of an answer, after 2 attempts/,
  },
  silence: { rules: [[manifest, silence]], code: 'registry', message: /fell silent, after 2 attempts/ },
  'headers that drip': { rules: [[manifest, dripHeaders({ every: 200 })]], code: 'registry', message: /after 2 att/ },
  'a layer that drips': {
    rules: [[layer, dripBody({ at: 1000, every: 200 })]],
    code: 'registry',
    message: /slow|silent/,
  },
  'a manifest that drips': {
    rules: [[manifest, dripBody({ at: 10, every: 200 })]],
    code: 'registry',
    message: /slow|silent/,
  },
  'hints without end': {
    rules: [[manifest, hints({ every: 200 })]],
    code: 'registry',
    message: /fell silent, after 2 attempts/,
  },
  'a megabyte of headers': { rules: [[manifest, manyHeaders]], code: 'registry', message: /does not speak HTTP/ },
  'a manifest that is said to be encoded': {
    rules: [[manifest, headers({ 'content-encoding': 'gzip' })]],
    code: 'registry',
    message: /encoding gzip/,
  },
  '429 for ever': { rules: [[manifest, status(429)]], code: 'registry', message: /too many requests .*after 2 att/ },
  '429 until next year': {
    rules: [[manifest, status(429, { 'retry-after': inSeconds(30_000_000) })]],
    code: 'registry',
    message: /too many requests/,
  },
  '429 for more seconds than there are': {
    rules: [[layer, status(429, { 'retry-after': '99999999999999999999' })]],
    code: 'registry',
    message: /too many requests/,
  },
  '500 for ever': { rules: [[manifest, status(500)]], code: 'registry', message: /\(500 .*after 2 attempts/ },
  '503 for the layer': { rules: [[layer, status(503)]], code: 'registry', message: /\(503 .*after 2 attempts/ },
  'a layer that is announced longer': { rules: [[layer, wrongLength(5)]], code: 'digest', message: /bytes where/ },
  'a layer that is announced shorter': { rules: [[layer, wrongLength(-5)]], code: 'digest', message: /bytes where/ },
  'a manifest that is announced longer': { rules: [[manifest, wrongLength(5)]], code: 'registry', message: /was cut/ },
  'a manifest that is announced shorter': { rules: [[manifest, wrongLength(-5)]], code: 'digest', message: /manifest/ },
  'a range that was not asked for': { rules: afterCut(headers(unrelated)), code: 'registry', message: /another range/ },
  'a range of another whole': { rules: afterCut(headers(longer)), code: 'registry', message: /another range/ },
  'a range without saying which': {
    rules: afterCut(headers({ 'content-range': undefined })),
    code: 'registry',
    message: /another range/,
  },
  'a range that it takes for wrong': { rules: afterCut(status(416)), code: 'registry', message: /\(416 / },
  'a layer that is gone when its rest is asked for': {
    rules: afterCut(status(404)),
    code: 'registry',
    message: /lacks sha256/,
  },
  'a redirect to itself': {
    rules: [[layer, (exchange) => redirect(proxy.url)(exchange)]],
    code: 'registry',
    message: /redirects more than/,
  },
  'a redirect to nowhere': { rules: [[layer, redirect('http://127.0.0.1:1')]], code: 'registry', message: /refuses/ },
  'a redirect without an address': { rules: [[layer, status(307)]], code: 'registry', message: /redirects to no add/ },
  'a redirect to a file': { rules: [[layer, redirect('file:///etc/passwd')]], code: 'registry', message: /no web add/ },
  'a gigabyte of JSON': {
    rules: [[manifest, hugeJson({ size: 2 ** 30, announced: true })]],
    code: 'limit',
    message: /manifest .*more than \d+ bytes/,
  },
  'a gigabyte of JSON without saying so': {
    rules: [[manifest, hugeJson({ size: 2 ** 30, announced: false })]],
    code: 'limit',
    message: /manifest .*more than \d+ bytes/,
  },
  'a gigabyte in place of the configuration': {
    rules: [[configuration, hugeJson({ size: 2 ** 30, announced: false })]],
    code: 'digest',
    message: /more bytes where/,
  },
  'a gigabyte in place of a layer': {
    rules: [[layer, hugeJson({ size: 2 ** 30, announced: false })]],
    code: 'digest',
    message: /more bytes where|has the digest/,
  },
  'a gigabyte of error': {
    rules: [[manifest, hugeJson({ size: 2 ** 30, announced: false, code: 500 })]],
    code: 'registry',
    message: /\(500 .*after 2 attempts/,
  },
  'garbage in place of HTTP': { rules: [[anything, garbage]], code: 'registry', message: /does not speak HTTP/ },
  'a page in place of a manifest': {
    rules: [[manifest, status(200, { 'content-type': 'text/html' }, '<html>Welcome</html>')]],
    code: 'manifest',
    message: /JSON/,
  },
  'a byte of the layer that is another': { rules: [[layer, corrupt({ at: 3_000_000 })]], code: 'digest', message: /./ },
}

for (const [name, { rules, code, message }] of Object.entries(refused)) {
  test(`${name}: one clear error, and nothing is left`, async () => {
    spoil(rules)
    const result = await bounded('install', '--system', `${proxy.address}/team/app:1`, '--json')
    assertComplaint(result, { code, message })
    assertNothingUnfinished(lab)
    assert.deepEqual(
      storedFiles().filter((path) => !path.startsWith('partial/')),
      [],
    )
  })
}

test('a layer with a wrong byte does not spoil the next pull', async () => {
  spoil([[layer, corrupt({ at: 3_000_000 }), 1]])
  assert.equal((await bounded('pull', `${proxy.address}/team/app:1`)).status, 1)
  assert.equal((await bounded('pull', `${proxy.address}/team/app:1`)).status, 0)
})

test('another host that is redirected to serves the layer, and is told no credentials', async () => {
  const users = { ann: 'wonderland' }
  await using guarded = await startRegistry({ auth: 'token', users })
  await guarded.push(image, 'team/app:1')
  await using front = await startBreakingProxy(guarded.address)
  spoil([])
  front.spoil(/^GET .*\/blobs\//, redirect(proxy.url))
  const words = ['pull', '--creds', 'ann:wonderland', `${front.address}/team/app:1`]
  const { status, stderr } = await bounded(...words)
  assert.equal(status, 0, stderr)
  assert.ok(front.requests.some(({ headers }) => headers.authorization?.startsWith('Bearer ')))
  assert.ok(proxy.served(layer) === size)
  assert.deepEqual(
    proxy.requests.filter(({ headers }) => headers.authorization !== undefined),
    [],
  )
})

const tokenFaults: Record<string, { fault: Fault; message: RegExp; code?: string }> = {
  'is silent': { fault: silence, message: /fell silent, after 2 attempts/ },
  'is broken': { fault: status(500), message: /\(500 .*after 2 attempts/ },
  'is busy until tomorrow': { fault: status(429, { 'retry-after': '86400' }), message: /too many requests/ },
  drips: { fault: dripBody({ at: 10, every: 200 }), message: /too slow|silent/ },
  'talks nonsense': { fault: status(200, {}, '<html>'), message: /not a token/ },
  'redirects to itself': { fault: (exchange) => redirect(proxy.url)(exchange), message: /redirects more than/ },
  'sends a gigabyte': {
    fault: hugeJson({ size: 2 ** 30, announced: false }),
    message: /token .*more than \d+ bytes/,
    code: 'limit',
  },
}

for (const [name, { fault, message, code = 'registry' }] of Object.entries(tokenFaults)) {
  test(`a token server that ${name}: one clear error, and nothing is left`, async () => {
    const realm = `${proxy.url}/v2/team/app/blobs/${image.imageIds[0]}`
    spoil([
      [manifest, status(401, { 'www-authenticate': `Bearer realm="${realm}",service="lab"` })],
      [/^GET .*\?service=lab/, fault],
    ])
    assertComplaint(await bounded('install', '--system', `${proxy.address}/team/app:1`, '--json'), { code, message })
    assertNothingUnfinished(lab)
  })
}

test('none of these errors has changed the host', () => {
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('a token server that fails once: the pull succeeds', async () => {
  await using guarded = await startRegistry({ auth: 'token', users: {}, anonymousPull: true })
  await guarded.push(image, 'team/app:1')
  const { host, pathname } = new URL(guarded.tokenServer?.realm ?? '')
  await using tokens = await startBreakingProxy(host)
  await using front = await startBreakingProxy(guarded.address)
  const challenge = `Bearer realm="${tokens.url}${pathname}",service="forerun-lab-registry"`
  spoil([])
  front.spoil(manifest, headers({ 'www-authenticate': challenge }))
  tokens.spoil(/token/, status(503), { times: 1 })
  const { status: ended, stderr } = await bounded('pull', `${front.address}/team/app:1`)
  assert.equal(ended, 0, stderr)
  assert.ok(tokens.requests.length >= 2)
})

/** Runs forerun, which has to end long before this. */
function bounded(...words: string[]): Promise<ExecResult> {
  return lab.host.exec(['forerun', ...words], { check: false, timeout: 10_000 })
}

/** Begins with an empty store. */
function spoil(rules: Rules): void {
  rmSync(store(), { recursive: true, force: true })
  proxy.mend()
  for (const [on, fault, times] of rules) proxy.spoil(on, fault, times === undefined ? {} : { times })
}

function store(): string {
  return join(lab.host.root, 'var/lib/forerun/store')
}

function storedFiles(): string[] {
  if (!existsSync(store())) return []
  const files = readdirSync(store(), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.map(({ parentPath, name }) => relative(store(), join(parentPath, name)))
}

function largestBlob({ blobs }: LabImage): [digest: string, size: number] {
  const [largest] = [...blobs]
    .map(([digest, { length }]) => [digest, length] as [string, number])
    .sort((a, b) => b[1] - a[1])
  if (largest === undefined) throw new Error('the image has no blobs')
  return largest
}

function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toUTCString()
}
