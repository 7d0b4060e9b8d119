import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { onPipes, onTerminal, outputModule } from './terminal.ts'

function logging(debug: boolean): string {
  return `
    import { diagnostics } from ${outputModule('diagnostics.ts')}
    const log = diagnostics({ debug: ${debug} })
    log({ type: 'debug', message: 'GET', fields: { url: 'https://user:hunter2@example.com/v2/?token=hunter2', headers: { Authorization: 'Bearer hunter2hunter2' } } })
    log({ type: 'layer-progress', digest: 'sha256:0', received: 1 })
    log({ type: 'notice', message: 'two\\nlines, Basic aHVudGVyMg==' })
    log({ type: 'retry', url: 'https://example.com', reason: '503', attempt: 1, delay: 500 })
    log({ type: 'undo-failed', code: 'host-file', message: 'read-only' })
    process.kill(process.pid, 'SIGKILL')`
}

function checkHidden(text: string): void {
  assert.doesNotMatch(text, /hunter2|aHVudGVyMg/)
  assert.match(text, /\[hidden\]@example\.com/)
}

test('without --debug nothing is logged', () => {
  const { stderr, stdout } = onPipes(logging(false))
  assert.deepEqual([stdout, stderr], ['', ''])
})

test('elsewhere than on a terminal, each record is JSON, and out before a crash', () => {
  const { stderr, stdout, signal } = onPipes(logging(true))
  assert.deepEqual([stdout, signal], ['', 'SIGKILL'])
  const records = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    records.map(({ level, msg }) => `${level} ${msg}`),
    ['debug GET', 'info two\nlines, Basic [hidden]', 'warn retry', 'error read-only'],
  )
  assert.match(records[0].time, /^\d{4}-\d\d-\d\dT/)
  assert.deepEqual(records[0].headers, { Authorization: '[hidden]' })
  checkHidden(stderr)
})

test('on a terminal, each record is a line for people', () => {
  const output = onTerminal(logging(true).replace('process.kill', '// '))
  assert.match(
    output,
    /^\d\d:\d\d:\d\d\.\d{3} debug GET url=https:\/\/\[hidden\]@example\.com\/v2\/\?token=\[hidden\] headers=\{"Authorization":"\[hidden\]"\}\r\n/,
  )
  assert.match(output, / info {2}two lines, Basic \[hidden\]\r\n/)
  checkHidden(output)
})

test('towards the journal, each record has its priority', () => {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-journal-'))
  try {
    const fd = openSync(join(folder, 'stream'), 'w')
    const { dev, ino } = fstatSync(fd, { bigint: true })
    for (const stream of [`${dev}:${ino}`, `${dev}:${ino + 1n}`]) {
      spawnSync(process.execPath, ['--input-type=module', '-e', logging(true)], {
        stdio: ['ignore', 'ignore', fd],
        env: { ...process.env, JOURNAL_STREAM: stream },
      })
    }
    closeSync(fd)
    const text = readFileSync(join(folder, 'stream'), 'utf8')
    const lines = text.trimEnd().split('\n')
    assert.deepEqual(
      lines.map((line) => line.slice(0, 3)),
      ['<7>', '<6>', '<4>', '<3>', '{"l', '{"l', '{"l', '{"l'],
    )
    assert.equal(lines[3], '<3>read-only event=undo-failed code=host-file')
    checkHidden(text)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
