import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { findProgram } from '../../src/host/find-program.ts'
import { readWhenPresent } from '../../src/host/read-when-present.ts'
import { ProgramFailure, run } from '../../src/host/run.ts'
import { scratch } from '../store/scratch.ts'

const timeout = 60_000

function failsAs(fault: string, what: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof ProgramFailure)
    assert.equal(error.fault, fault)
    assert.match(error.message, what)
    assert.notEqual(error.hint, undefined)
    return true
  }
}

test('input goes in, and status and all outputs come out', async () => {
  const script = 'cat; echo said >&2; echo told >&3; exit 3'
  const result = await run('sh', ['-c', script], { timeout, input: 'given', hasStatusPipe: true })
  assert.deepEqual(result, {
    ...{ status: 3, stdout: Buffer.from('given'), stderr: 'said\n' },
    statusPipe: Buffer.from('told\n'),
  })
})

test('a program without input reads nothing, and one that does not read it is no fault', async () => {
  assert.equal((await run('cat', [], { timeout })).status, 0)
  assert.equal((await run('true', [], { timeout, input: Buffer.alloc(1024 * 1024) })).status, 0)
})

test('a signal that ended a program is its status', async () => {
  assert.equal((await run('sh', ['-c', 'kill -9 $$'], { timeout })).status, 128 + 9)
})

test('what takes too long is killed with all that it has started', async () => {
  using folder = scratch()
  const file = join(folder.path, 'pid')
  const script = `trap "" TERM; sleep 600 & echo $! >${file}; wait`
  await assert.rejects(run('sh', ['-c', script], { timeout: 300 }), failsAs('time', /^sh took longer than 0\.3 s$/))
  await hasGone(Number(readFileSync(file, 'utf8')))
})

for (const [when, rest] of [
  ['while the program runs', 'exec sleep 600'],
  ['after it has ended', 'exit 0'],
] as const) {
  test(`what leaves its group and holds the output open is not waited for, ${when}`, { timeout: 20_000 }, async () => {
    using folder = scratch()
    const file = join(folder.path, 'pid')
    const script = `setsid sh -c 'echo $$ >${file}.new; mv ${file}.new ${file}; exec sleep 60' & while [ ! -e ${file} ]; do sleep 0.01; done; ${rest}`
    try {
      await assert.rejects(run('sh', ['-c', script], { timeout: 1000 }), failsAs('time', /took longer/))
    } finally {
      process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL')
    }
  })
}

/** A process that was killed is there until its parent, or init, has heard of it. */
async function hasGone(pid: number): Promise<void> {
  const state = (): string => /\) (\S)/.exec(readWhenPresent(`/proc/${pid}/stat`)?.toString() ?? '')?.[1] ?? 'X'
  for (let wait = 0; !'ZX'.includes(state()); wait++) {
    assert.ok(wait < 200, `process ${pid} still runs`)
    await sleep(10)
  }
}

test('more output than the limit is a fault; so much is none, and of messages the beginning is kept', async () => {
  const limited = { timeout, outputLimit: 1000 }
  await assert.rejects(run('cat', ['/dev/zero'], limited), failsAs('output', /^cat wrote more than 1000 bytes$/))
  const atStatus = run('sh', ['-c', 'cat /dev/zero >&3'], { ...limited, hasStatusPipe: true })
  await assert.rejects(atStatus, failsAs('output', /more than 1000 bytes/))
  assert.equal((await run('head', ['-c', '1000', '/dev/zero'], limited)).stdout.length, 1000)
  const { stderr } = await run('sh', ['-c', 'head -c 3000000 /dev/zero | tr "\\0" x >&2'], limited)
  assert.equal(stderr.length, 1024 * 1024)
})

test('an interruption gives a program time to clean up, and not for ever', async () => {
  using folder = scratch()
  const [ready, cleaned] = ['ready', 'cleaned'].map((name) => join(folder.path, name)) as [string, string]
  for (const trap of [`touch ${cleaned}; exit`, '']) {
    const controller = new AbortController()
    const script = `trap '${trap}' TERM; touch ${ready}; while :; do sleep 0.01; done`
    const running = assert.rejects(run('sh', ['-c', script], { timeout, signal: controller.signal }), {
      ...{ name: 'ForerunError', code: 'interrupted' },
    })
    while (!existsSync(ready)) await sleep(5)
    rmSync(ready)
    controller.abort()
    await running
  }
  assert.ok(existsSync(cleaned))
  await assert.rejects(run('true', [], { timeout, signal: AbortSignal.abort() }), { code: 'interrupted' })
})

test('what is not there or cannot be started is one fault each', async () => {
  using folder = scratch()
  const file = join(folder.path, 'none')
  writeFileSync(file, '')
  await assert.rejects(run('forerun-has-no-such', [], { timeout }), failsAs('absent', /is not installed/))
  await assert.rejects(run(`${file}s`, [], { timeout }), failsAs('absent', /is not installed/))
  await assert.rejects(run(file, [], { timeout }), failsAs('unstartable', /cannot be started \(EACCES\)/))
  const endless = run('true', ['x'.repeat(10_000_000)], { timeout })
  await assert.rejects(endless, failsAs('unstartable', /cannot be started \(E2BIG\)/))
})

test('root is given no program that somebody else can change', async () => {
  using folder = scratch()
  const made = (name: string): string => {
    const place = join(folder.path, name)
    mkdirSync(place)
    writeFileSync(join(place, 'tool'), '#!/bin/sh\necho $PATH\n', { mode: 0o755 })
    return place
  }
  const [own, theirs, open, sticky, linked] = ['own', 'theirs', 'open', 'sticky', 'linked'].map(made) as [
    ...[string, string, string, string, string],
  ]
  chownSync(theirs, 1234, 1234)
  chmodSync(open, 0o777)
  chmodSync(sticky, 0o1777)
  const below = join(theirs, 'below')
  mkdirSync(below)
  writeFileSync(join(below, 'tool'), '', { mode: 0o755 })
  symlinkSync(below, join(linked, 'away'))
  const others = [theirs, open, sticky, below, join(linked, 'away'), '.', 'relative']
  assert.equal(findProgram('tool', others.join(':')), undefined)
  const path = [...others, own, '/usr/bin', '/bin'].join(':')
  assert.equal(findProgram('tool', path), join(own, 'tool'))
  const { stdout } = await run('tool', [], { timeout, environment: { PATH: path } })
  assert.equal(String(stdout), `${own}:/usr/bin:/bin\n`)
  chownSync(join(own, 'tool'), 1234, 1234)
  assert.equal(findProgram('tool', path), undefined)
})
