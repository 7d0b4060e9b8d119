import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const source = join(import.meta.dirname, '..', '..', 'src')
const files = globSync('**/*.ts', { cwd: source }).map((file) => ({
  file,
  lines: readFileSync(join(source, file), 'utf8').split('\n'),
}))
const asyncFunctions = new Set(
  files.flatMap(({ lines }) => lines.flatMap((line) => /\basync function\*? (\w+)/.exec(line)?.[1] ?? [])),
)

test('what `using` holds is held until the work is done: its promise is awaited before it is returned', () => {
  assert.ok(asyncFunctions.has('lockHost'))
  const wrong = files.flatMap(({ file, lines }) => earlyReturns(lines).map((line) => `${file}:${line}`))
  assert.deepEqual(wrong, [])
})

test('a return that gives up the lock too early is seen', () => {
  const lines = ['async function pull() {', '  using _lock = await lockHost()', '  return lockHost()', '}']
  assert.deepEqual(earlyReturns(lines), [3])
  assert.deepEqual(earlyReturns(lines.with(2, '  return await lockHost()')), [])
  assert.deepEqual(earlyReturns(lines.with(1, '  const lock = await lockHost()')), [])
})

/** Numbers of the lines that return a promise out of a block which holds something. */
function earlyReturns(lines: readonly string[]): number[] {
  const found: number[] = []
  let holding: number | undefined
  // A function inside the block returns to the block, not out of it.
  let inner: number | undefined
  for (const [index, line] of lines.entries()) {
    const indentation = line.search(/\S/)
    if (holding !== undefined && indentation >= 0 && indentation < holding) holding = undefined
    if (inner !== undefined && indentation >= 0 && indentation <= inner) inner = undefined
    if (/=> \{$/.test(line)) inner ??= indentation
    if (/^\s*(?:await )?using \w/.test(line)) holding ??= indentation
    const returned = /\breturn (\w+)\(/.exec(line)?.[1]
    if (inner !== undefined || holding === undefined || returned === undefined) continue
    if (asyncFunctions.has(returned)) found.push(index + 1)
  }
  return found
}
