import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseImageConfiguration } from '../../src/image/configuration.ts'

const diffId = `sha256:${'0b'.repeat(32)}`
const rootfs = { type: 'layers', diff_ids: [diffId] }

function parse(document: unknown) {
  return parseImageConfiguration(Buffer.from(JSON.stringify(document)))
}

test('a whole configuration is read', () => {
  const configuration = parse({
    architecture: 'arm',
    os: 'linux',
    variant: 'v7',
    created: '2026-01-01T00:00:00Z',
    author: 'somebody',
    config: {
      User: '1000:1000',
      ExposedPorts: { '2379/tcp': {}, '2380/udp': {} },
      Env: ['PATH=/bin'],
      Entrypoint: ['/etcd'],
      Cmd: ['--help'],
      Volumes: { '/data': {} },
      WorkingDir: '/',
      Labels: { 'atomic.type': 'system' },
      StopSignal: 'SIGINT',
      Healthcheck: { Test: ['NONE'] },
    },
    rootfs,
    history: [{}],
  })
  assert.deepEqual(configuration, {
    architecture: 'arm',
    os: 'linux',
    variant: 'v7',
    created: '2026-01-01T00:00:00Z',
    author: 'somebody',
    config: {
      user: '1000:1000',
      exposedPorts: ['2379/tcp', '2380/udp'],
      env: ['PATH=/bin'],
      entrypoint: ['/etcd'],
      cmd: ['--help'],
      volumes: ['/data'],
      workingDir: '/',
      labels: { 'atomic.type': 'system' },
      stopSignal: 'SIGINT',
    },
    diffIds: [diffId],
  })
})

test('what is absent or null is empty', () => {
  const empty = {
    architecture: 'amd64',
    os: 'linux',
    config: { user: '', exposedPorts: [], env: [], entrypoint: [], cmd: [], volumes: [], workingDir: '', labels: {} },
    diffIds: [diffId],
  }
  const nulls = { User: '', ExposedPorts: null, Env: null, Entrypoint: null, Cmd: null, Volumes: null, Labels: null }
  assert.deepEqual(parse({ architecture: 'amd64', os: 'linux', rootfs }), empty)
  assert.deepEqual(parse({ architecture: 'amd64', os: 'linux', config: null, rootfs }), empty)
  assert.deepEqual(
    parse({ architecture: 'amd64', os: 'linux', variant: '', config: { ...nulls, StopSignal: '' }, rootfs }),
    empty,
  )
  assert.deepEqual(parse({ rootfs: { type: 'layers', diff_ids: null } }).diffIds, [])
  assert.deepEqual(parse({ config: { Labels: { a: null } }, rootfs }).config.labels, { a: '' })
})

test('a malformed configuration is refused, naming the member', () => {
  const documents: [unknown, RegExp][] = [
    [[], /malformed/],
    [{}, /rootfs/],
    [{ rootfs: { type: 'tree', diff_ids: [] } }, /rootfs\.type/],
    [{ rootfs: { type: 'layers', diff_ids: [diffId, 'x'] } }, /rootfs\.diff_ids\[1\]: not a sha256/],
    [{ rootfs, config: { Env: 'PATH=/bin' } }, /config\.Env/],
    [{ rootfs, config: { Cmd: [1] } }, /config\.Cmd\[0\]/],
    [{ rootfs, config: { Labels: { a: {} } } }, /config\.Labels\.a/],
    [{ rootfs, config: { Volumes: ['/data'] } }, /config\.Volumes/],
  ]
  for (const [document, message] of documents) {
    assert.throws(() => parse(document), { code: 'manifest', message, hint: /./ }, JSON.stringify(document))
  }
  assert.throws(() => parseImageConfiguration(Buffer.from('{')), { message: "the image's configuration is not JSON" })
})

test("a health check is read as engines keep it, with an engine's defaults", () => {
  const check = (Healthcheck: unknown) => parse({ config: { Healthcheck }, rootfs }).config.healthCheck
  assert.deepEqual(
    check({ Test: ['CMD', '/etcdctl', 'health'], Interval: 5e9, Timeout: 0, Retries: 2, StartPeriod: 15e8 }),
    {
      command: ['/etcdctl', 'health'],
      interval: 5000,
      timeout: 30_000,
      retries: 2,
      startPeriod: 1500,
    },
  )
  assert.deepEqual(check({ Test: ['CMD-SHELL', 'curl -f localhost || exit 1'] })?.command, [
    '/bin/sh',
    '-c',
    'curl -f localhost || exit 1',
  ])
  for (const none of [undefined, null, {}, { Test: [] }, { Test: ['NONE'] }, { Test: ['CMD'] }, { Interval: 1e9 }]) {
    assert.equal(check(none), undefined, JSON.stringify(none))
  }
})
