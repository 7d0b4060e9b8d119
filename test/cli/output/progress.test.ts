import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { cursorChanges, onPipes, onTerminal, outputModule, screen } from './terminal.ts'

const one = `sha256:1${'0'.repeat(63)}`
const two = `sha256:2${'0'.repeat(63)}`

/** A pull of two layers, of which the second one ends as `ending` says. */
function scenario(ending: string, options = '{ quiet: false }'): string {
  return `
    import { setTimeout as sleep } from 'node:timers/promises'
    import { progress } from ${outputModule('progress.ts')}
    const { emit, end } = progress(${options})
    emit({ type: 'image-resolved', reference: 'example.com/etcd:3.5', digest: '${two}', layers: [{ size: 2e6 }, { size: 5e6 }] })
    emit({ type: 'layer-started', digest: '${one}', size: 2e6 })
    emit({ type: 'layer-started', digest: '${two}', size: 5e6 })
    for (let received = 1e5; received <= 2e6; received += 1e5) {
      emit({ type: 'layer-progress', digest: '${one}', received })
      emit({ type: 'layer-progress', digest: '${two}', received })
      await sleep(15)
    }
    emit({ type: 'layer-finished', digest: '${one}', stored: false })
    emit({ type: 'retry', url: 'https://u:p@example.com/', reason: 'reset by https://u:p@example.com', attempt: 2, delay: 1500 })
    emit({ type: 'change', phase: 'applied', index: 0, kind: 'file', subject: '/etc/x' })
    emit({ type: 'notice', message: 'File /etc/\\x1b[2Jx already exists' })
    ${ending}`
}

const finish = `emit({ type: 'layer-finished', digest: '${two}', stored: true }); end(); end(); process.stderr.write('after\\n')`

describe('on a terminal', () => {
  const started = performance.now()
  const output = onTerminal(scenario(finish))
  const seconds = (performance.now() - started) / 1000

  test('a bar for each layer stays below the lines, and goes when all is done', () => {
    assert.deepEqual(screen(output), [
      'example.com/etcd:3.5: 200000000000, 2 layers, 7MB',
      'Layer 100000000000: done',
      'Trying again in 1.5 s (attempt 2): reset by https://[hidden]@example.com',
      'File /etc/x already exists',
      'Layer 200000000000: in the store already',
      'after',
    ])
    assert.match(output, /100000000000 {2}\[=*>? *\] {2} *[\d.]+[kM]B\/2MB +[\d.]+[kM]?B\/s +\d+s/)
  })
  test('the cursor is hidden while there are bars, and then restored', () => {
    assert.deepEqual(cursorChanges(output), ['hidden', 'shown'])
  })
  test('bars are drawn at most ten times a second, and for each line', () => {
    const draws = output.split('\x1b[J').length
    assert.ok(draws >= 3 && draws <= 8 + seconds * 10, `${draws} in ${seconds} s`)
  })
  for (const [how, ending] of [
    ['exits', 'process.exit(0)'],
    ['crashes', "process.on('uncaughtException', () => process.exit(0)); setTimeout(() => { throw new Error('bug') })"],
  ] as const) {
    test(`the cursor is restored when the process ${how}`, () => {
      const output = onTerminal(scenario(ending))
      assert.deepEqual(cursorChanges(output), ['hidden', 'shown'])
      assert.equal(screen(output).at(-1), 'File /etc/x already exists')
    })
  }
  for (const columns of [20, 60, 200]) {
    test(`of ${columns} columns no bar is wider`, () => {
      const bars = onTerminal(scenario(finish), { columns })
        .split(/\r?\n/)
        .map(stripVTControlCharacters)
        .filter((line) => /^[12]0{11} /.test(line))
      assert.ok(bars.length > 2)
      for (const bar of bars) assert.ok(bar.length < columns, bar)
    })
  }
})

describe('elsewhere', () => {
  test('there are plain lines, all of them on standard error', () => {
    const { stdout, stderr } = onPipes(scenario(finish))
    assert.equal(stdout, '')
    assert.deepEqual(stderr.split('\n'), [
      'example.com/etcd:3.5: 200000000000, 2 layers, 7MB',
      'Layer 100000000000: fetching 2MB',
      'Layer 200000000000: fetching 5MB',
      'Layer 100000000000: done',
      'Trying again in 1.5 s (attempt 2): reset by https://[hidden]@example.com',
      'File /etc/x already exists',
      'Layer 200000000000: in the store already',
      'after',
      '',
    ])
  })
})

test('a terminal that others write to as well gets plain lines', () => {
  const plain = onTerminal(scenario(finish, '{ quiet: false, plain: true }'))
  assert.deepEqual(cursorChanges(plain), [])
  assert.ok(screen(plain).includes('Layer 100000000000: fetching 2MB'))
})

describe('quiet', () => {
  const ending = `emit({ type: 'undo-failed', code: undefined, message: 'EIO' }); ${finish}`
  test('is silence, except where the user must act', () => {
    assert.equal(onPipes(scenario(ending, '{ quiet: true }')).stderr, 'Could not undo everything: EIO\nafter\n')
    assert.deepEqual(screen(onTerminal(scenario(ending, '{ quiet: true }'))), [
      'Could not undo everything: EIO',
      'after',
    ])
  })
})
