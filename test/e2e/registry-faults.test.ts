import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Fault } from '../lab/breaking-proxy.ts'
import {
  corrupt,
  cut,
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
  wrongLength,
} from '../lab/proxy-faults.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { assertComplaint, assertNothingUnfinished } from './bad-input.ts'
import {
  anything,
  type BrokenRegistry,
  brokenRegistry,
  configuration,
  image,
  inSeconds,
  layer,
  layerSize,
  manifest,
  type Rules,
} from './broken-registry.ts'
import { changesSince } from './installed-host.ts'

/** What nothing can mend ends soon, in one line that says what was wrong, and leaves the host as it was. */
let registry: BrokenRegistry
let untouched: Snapshot

before(async () => {
  registry = await brokenRegistry()
  untouched = registry.lab.files()
})
after(() => registry[Symbol.asyncDispose]())

const unrelated = { 'content-range': 'bytes 5-9/10' }
const longer = { 'content-range': `bytes 2000000-${layerSize - 1}/${layerSize + 1}` }
const afterCut = (fault: Fault): Rules => [
  [layer, cut({ at: 2_000_000 }), 1],
  [layer, fault],
]

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
  'a manifest in an encoding that nobody knows': {
    rules: [[manifest, headers({ 'content-encoding': 'br' })]],
    code: 'registry',
    message: /encoding br/,
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
    rules: [[layer, (exchange) => redirect(registry.proxy.url)(exchange)]],
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
    registry.spoil(rules)
    const result = await registry.bounded('install', '--system', registry.reference, '--json')
    assertComplaint(result, { code, message })
    assertNothingUnfinished(registry.lab)
    assert.deepEqual(
      registry.storedFiles().filter((path) => !path.startsWith('partial/')),
      [],
    )
  })
}

const tokenFaults: Record<string, { fault: Fault; message: RegExp; code?: string }> = {
  'is silent': { fault: silence, message: /fell silent, after 2 attempts/ },
  'is broken': { fault: status(500), message: /\(500 .*after 2 attempts/ },
  'is busy until tomorrow': { fault: status(429, { 'retry-after': '86400' }), message: /too many requests/ },
  drips: { fault: dripBody({ at: 10, every: 200 }), message: /too slow|silent/ },
  'talks nonsense': { fault: status(200, {}, '<html>'), message: /not a token/ },
  'redirects to itself': {
    fault: (exchange) => redirect(registry.proxy.url)(exchange),
    message: /redirects more than/,
  },
  'sends a gigabyte': {
    fault: hugeJson({ size: 2 ** 30, announced: false }),
    message: /token .*more than \d+ bytes/,
    code: 'limit',
  },
}

for (const [name, { fault, message, code = 'registry' }] of Object.entries(tokenFaults)) {
  test(`a token server that ${name}: one clear error, and nothing is left`, async () => {
    const realm = `${registry.proxy.url}/v2/team/app/blobs/${image.imageIds[0]}`
    registry.spoil([
      [manifest, status(401, { 'www-authenticate': `Bearer realm="${realm}",service="lab"` })],
      [/^GET .*\?service=lab/, fault],
    ])
    assertComplaint(await registry.bounded('install', '--system', registry.reference, '--json'), { code, message })
    assertNothingUnfinished(registry.lab)
  })
}

test('none of these errors has changed the host', () => {
  assert.deepEqual(changesSince(untouched, registry.lab), [])
})
