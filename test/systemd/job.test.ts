import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import { type MethodCall, Refusal, type Reply } from '../../src/systemd/connection.ts'
import { jobFailure, jobResult } from '../../src/systemd/job.ts'
import type { Session } from '../../src/systemd/session.ts'

const job = '/org/freedesktop/systemd1/job/7'
const noReply: Reply = { sender: undefined, body: [] }

/** Stands in for systemd where its order of answers, or its loss of memory, cannot be provoked. */
function session(answer: (call: Omit<MethodCall, 'destination'>) => Promise<Reply> = async () => noReply): Session & {
  removed: (job: string, result: string) => void
  listeners: Set<(job: string, result: string) => void>
} {
  const listeners = new Set<(job: string, result: string) => void>()
  const lost = new Promise<never>(() => {})
  return {
    connection: { alive: true, lost, call: async () => noReply, onSignal: () => () => {}, close: () => {} },
    call: answer,
    subscribe: async () => {},
    onJobRemoved(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    listeners,
    removed: (path, result) => {
      for (const listener of listeners) listener(path, result)
    },
  }
}

test('a job that ends before the reply that names it is not missed', async () => {
  const systemd = session()
  const result = await jobResult(systemd, async () => {
    systemd.removed(job, 'failed')
    return job
  })
  assert.equal(result, 'failed')
  assert.equal(systemd.listeners.size, 0)
})

test('the end of another job is not taken for the end of this one', async () => {
  const systemd = session()
  const result = jobResult(systemd, async () => job)
  setTimeout(() => systemd.removed('/org/freedesktop/systemd1/job/70', 'failed'), 5)
  setTimeout(() => systemd.removed(job, 'done'), 15)
  assert.equal(await result, 'done')
})

test('a job that systemd forgot ends the waiting, though no signal came', async () => {
  const systemd = session(async () => {
    throw new Refusal('org.freedesktop.DBus.Error.UnknownObject', 'Unknown object')
  })
  assert.equal(await jobResult(systemd, async () => job, { probeInterval: 5 }), 'lost')
})

test('a probe that systemd cannot answer while it restarts does not end the waiting', async () => {
  let probes = 0
  const systemd = session(async () => {
    probes += 1
    if (probes === 3) systemd.removed(job, 'done')
    throw new Refusal('org.freedesktop.DBus.Error.NoReply', 'Message recipient disconnected')
  })
  assert.equal(await jobResult(systemd, async () => job, { probeInterval: 2 }), 'done')
  assert.equal(probes, 3)
})

test('an abort ends the waiting', async () => {
  const systemd = session()
  const signal = AbortSignal.timeout(5)
  await assert.rejects(
    jobResult(systemd, async () => job, { signal }),
    { name: 'ForerunError', code: 'interrupted' },
  )
  assert.equal(systemd.listeners.size, 0)
})

test('what queueing throws is thrown, and nothing is left listening', async () => {
  const systemd = session()
  const refusal = new Refusal('org.freedesktop.systemd1.NoSuchUnit', 'Unit x.service not found.')
  await assert.rejects(
    jobResult(systemd, () => Promise.reject(refusal)),
    refusal,
  )
  assert.equal(systemd.listeners.size, 0)
})

test('each result has words of its own and a hint that names the unit', () => {
  const results = [
    'failed',
    'dependency',
    'timeout',
    'canceled',
    'skipped',
    'invalid',
    'assert',
    'unsupported',
    'collected',
  ]
  const errors = [...results, 'once', 'frozen', 'concurrency', 'lost', 'new-in-systemd'].map((result) => {
    const error = jobFailure('etcd.service', 'start', result)
    assert.ok(error instanceof ForerunError)
    assert.equal(error.code, 'systemd')
    assert.match(error.message, /^cannot start etcd\.service: [^\n]+$/)
    assert.match(String(error.hint), /etcd\.service/)
    return error.message
  })
  assert.equal(new Set(errors).size, errors.length)
  assert.match(String(errors.at(-1)), /'new-in-systemd'/)
})

test('a failed service tells why it failed, and one whose reason is not known tells that it failed', () => {
  assert.match(jobFailure('a.service', 'start', 'failed', 'timeout').message, /TimeoutStartSec/)
  assert.match(String(jobFailure('a.service', 'start', 'failed', 'exit-code').hint), /journalctl -u a\.service/)
  assert.equal(
    jobFailure('a.service', 'start', 'failed', 'success').message,
    jobFailure('a.service', 'start', 'failed').message,
  )
})
