import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { access, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { ForerunError } from '../../src/errors.ts'
import { applyTmpfiles, removeTmpfiles } from '../../src/systemd/tmpfiles.ts'
import { ensurePackages } from '../lab/packages.ts'

/** Runs against the machine's own systemd-tmpfiles, on paths below a directory of its own. */
async function lines(
  text: (directory: string) => string,
): Promise<AsyncDisposable & { directory: string; file: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'forerun-tmpfiles-'))
  const file = join(directory, 'lines.conf')
  await writeFile(file, text(directory))
  return { directory, file, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) }
}

before(() => ensurePackages(['systemd']))

test('what the lines ask for is made, and again without harm', async () => {
  await using made = await lines((directory) => `d ${directory}/data 0750 - - - -\n`)
  assert.deepEqual(await applyTmpfiles(made.file), [])
  assert.equal((await stat(join(made.directory, 'data'))).mode & 0o7777, 0o750)
  assert.deepEqual(await applyTmpfiles(made.file), [])
})

test('what the lines mark for removal is removed, and the rest is not', async () => {
  await using made = await lines((directory) => `d ${directory}/kept - - - - -\nR ${directory}/gone - - - - -\n`)
  await mkdir(join(made.directory, 'kept'))
  await mkdir(join(made.directory, 'gone/below'), { recursive: true })
  await removeTmpfiles(readFileSync(made.file, 'utf8'))
  await access(join(made.directory, 'kept'))
  await assert.rejects(access(join(made.directory, 'gone')), { code: 'ENOENT' })
})

test('a line that cannot be understood is named by file and number', async () => {
  await using made = await lines((directory) => `d ${directory}/data 0750 - - - -\nnonsense ${directory}/x\n`)
  await assert.rejects(applyTmpfiles(made.file), (error) => {
    assert.ok(error instanceof ForerunError)
    assert.equal(error.code, 'systemd')
    assert.match(error.message, /^systemd-tmpfiles does not understand \S+: .*lines\.conf:2:/)
    return true
  })
})

test('a path that cannot be made is an error of the host', async () => {
  await using made = await lines((directory) => `f ${directory}/lines.conf/below 0640 - - - text\n`)
  await assert.rejects(applyTmpfiles(made.file), (error) => {
    assert.ok(error instanceof ForerunError)
    assert.equal(error.code, 'host-file')
    assert.match(error.message, /^systemd-tmpfiles cannot do what \S+ asks for: .*below: Not a directory/)
    return true
  })
})

test('a directory where something else is comes back as a remark', async () => {
  await using made = await lines((directory) => `d ${directory}/lines.conf 0750 - - - -\n`)
  const remarks = await applyTmpfiles(made.file)
  assert.match(remarks.join('\n'), /already exists and is not a directory/)
})

test('a file of lines that does not exist is an error', async () => {
  await assert.rejects(applyTmpfiles('/nonexistent/lines.conf'), { name: 'ForerunError', code: 'systemd' })
})

test('an abort ends the program', async () => {
  // A pipe that nobody writes to keeps the program waiting.
  await using made = await lines(() => '')
  const pipe = join(made.directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 50)
  await assert.rejects(applyTmpfiles(pipe, { signal: controller.signal }), {
    name: 'ForerunError',
    code: 'interrupted',
  })
})
