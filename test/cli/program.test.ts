import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

const main = join(import.meta.dirname, '../../src/cli/main.ts')

/** Runs the program as a user would; none of these lines gets as far as the host. */
function run(...words: string[]): Promise<{ status: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...words], (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : error.code, stdout, stderr })
    })
  })
}

/** Lines that are not understood, and what is said of them: an error, a hint, and nothing else. */
const mistakes: [line: string, error: string, hint: string][] = [
  ['--debug instol', "unknown command 'instol' (Did you mean install?)", 'See: forerun --help'],
  ['-y --debug images list --nosuch', "unknown option '--nosuch'", 'See: forerun images list --help'],
  ['images --debug lst', "unknown command 'lst' (Did you mean list?)", 'See: forerun images --help'],
  ['--debug constructor', "unknown command 'constructor'", 'See: forerun --help'],
  ['--debug pull', "missing required argument 'IMAGE'", 'See: forerun pull --help'],
  ['containers list -aqz', "unknown option '-z'", 'See: forerun containers list --help'],
  ['unmount', "missing required argument 'DIR'", 'See: forerun umount --help'],
  ['mount etcd', "missing required argument 'DIR'", 'Name an empty directory: forerun mount etcd DIR'],
  [
    'mount etcd --live --storage ostree /mnt',
    'mounts of forerun are read-only and do not support --live',
    'Leave it out, or run a command in the container: forerun run NAME COMMAND',
  ],
  ['help nosuch', "unknown command 'nosuch'", 'See: forerun --help'],
  ['help images nosuch', "unknown command 'nosuch'", 'See: forerun images --help'],
]

for (const [line, error, hint] of mistakes) {
  test(`'${line}' is answered by an error and a hint`, async () => {
    const { status, stdout, stderr } = await run(...line.split(' '))
    assert.deepEqual([status, stdout, stderr], [2, '', `forerun: ${error}\nhint: ${hint}\n`])
  })
}

test('a mistake before --json is told as JSON, too', async () => {
  for (const line of ['--debug instol --json', 'pull --storage docker x --json']) {
    const { status, stdout } = await run(...line.split(' '))
    assert.deepEqual([status, JSON.parse(stdout).error.code], [2, 'usage'])
  }
})

test('--storage=docker is refused, and the hint says how an image of Docker is named', async () => {
  for (const line of ['pull --storage=docker x', 'pull x --storage docker', '-y uninstall --storage=docker x']) {
    const { status, stderr } = await run(...line.split(' '))
    assert.equal(status, 2)
    assert.match(stderr, /^forerun: --storage=docker is not possible.*\nhint: .*docker:IMAGE/)
  }
})

test('help explains the command that the words lead to', async () => {
  const { status, stdout } = await run('help', 'images', 'list')
  assert.equal(status, 0)
  assert.match(stdout, /^Usage: forerun images list /)
  assert.match((await run('--debug', 'help')).stdout, /^Usage: forerun /)
})
