import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBreakingProxy } from '../lab/breaking-proxy.ts'
import {
  corrupt,
  cut,
  cutUnannounced,
  headers,
  redirect,
  silence,
  stall,
  status,
  wholeInsteadOfRange,
  wrongLength,
} from '../lab/proxy-faults.ts'
import { startRegistry } from '../lab/registry.ts'
import {
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

/** What goes wrong once, or a little, does not keep a pull from succeeding, nor make it fetch more than it must. */
let registry: BrokenRegistry

before(async () => {
  registry = await brokenRegistry()
})
after(() => registry[Symbol.asyncDispose]())

/** `served`: at most so many bytes of the large layer. */
const mended: Record<string, { rules: Rules; served?: number }> = {
  'no fault at all': { rules: [], served: layerSize },
  'a layer that is cut once': { rules: [[layer, cut({ at: 2_000_000 }), 1]], served: layerSize },
  'a layer whose connection is reset once': {
    rules: [[layer, cut({ at: 2_000_000, reset: true }), 1]],
    served: layerSize,
  },
  'a layer that falls silent once': { rules: [[layer, stall({ at: 2_000_000 }), 1]], served: layerSize },
  'a layer that is cut again and again, but gets on': { rules: [[layer, cut({ at: 1_200_000 })]], served: layerSize },
  'a layer that is cut before its last byte': { rules: [[layer, cut({ at: layerSize - 1 }), 1]], served: layerSize },
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
  'a manifest that is said to be encoded, and is not': {
    rules: [[manifest, headers({ 'content-encoding': 'gzip' })]],
  },
  'a layer that is said to be encoded, and is as it was stored': {
    rules: [[layer, headers({ 'content-encoding': 'gzip' })]],
  },
  'a layer that is reset before it begins, once': { rules: [[layer, cut({ at: 0, reset: true }), 1]] },
  'a registry that knows no ranges': {
    rules: [
      [layer, cut({ at: 2_000_000 }), 1],
      [layer, wholeInsteadOfRange],
    ],
    served: layerSize + 2_000_000,
  },
  'a registry that restarts in the middle of a layer': {
    rules: [
      [
        layer,
        async (exchange) => {
          await cut({ at: 2_000_000, reset: true })(exchange)
          registry.proxy.stop()
          setTimeout(() => void registry.proxy.start(), 200)
        },
        1,
      ],
    ],
    served: layerSize,
  },
}

for (const [name, { rules, served }] of Object.entries(mended)) {
  test(`${name}: the pull succeeds`, async () => {
    registry.spoil(rules)
    const { status, stderr } = await registry.bounded('pull', registry.reference)
    assert.equal(status, 0, stderr)
    if (served !== undefined)
      assert.ok(registry.proxy.served(layer) <= served, `${registry.proxy.served(layer)} bytes were served`)
    assert.deepEqual(
      registry.storedFiles().filter((path) => path.startsWith('partial/')),
      [],
    )
  })
}

test('a layer with a wrong byte does not spoil the next pull', async () => {
  registry.spoil([[layer, corrupt({ at: 3_000_000 }), 1]])
  assert.equal((await registry.bounded('pull', registry.reference)).status, 1)
  assert.equal((await registry.bounded('pull', registry.reference)).status, 0)
})

test('another host that is redirected to serves the layer, and is told no credentials', async () => {
  const users = { ann: 'wonderland' }
  await using guarded = await startRegistry({ auth: 'token', users })
  await guarded.push(image, 'team/app:1')
  await using front = await startBreakingProxy(guarded.address)
  registry.spoil([])
  front.spoil(/^GET .*\/blobs\//, redirect(registry.proxy.url))
  const words = ['pull', '--creds', 'ann:wonderland', `${front.address}/team/app:1`]
  const { status, stderr } = await registry.bounded(...words)
  assert.equal(status, 0, stderr)
  assert.ok(front.requests.some(({ headers }) => headers.authorization?.startsWith('Bearer ')))
  assert.ok(registry.proxy.served(layer) === layerSize)
  assert.deepEqual(
    registry.proxy.requests.filter(({ headers }) => headers.authorization !== undefined),
    [],
  )
})

test('a token server that fails once: the pull succeeds', async () => {
  await using guarded = await startRegistry({ auth: 'token', users: {}, anonymousPull: true })
  await guarded.push(image, 'team/app:1')
  const { host, pathname } = new URL(guarded.tokenServer?.realm ?? '')
  await using tokens = await startBreakingProxy(host)
  await using front = await startBreakingProxy(guarded.address)
  const challenge = `Bearer realm="${tokens.url}${pathname}",service="forerun-lab-registry"`
  registry.spoil([])
  front.spoil(manifest, headers({ 'www-authenticate': challenge }))
  tokens.spoil(/token/, status(503), { times: 1 })
  const { status: ended, stderr } = await registry.bounded('pull', `${front.address}/team/app:1`)
  assert.equal(ended, 0, stderr)
  assert.ok(tokens.requests.length >= 2)
})
