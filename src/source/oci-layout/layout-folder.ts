import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { ForerunError } from '../../errors.ts'
import { syncDirectory, writeFileDurably } from '../../host/durable-file.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import { tryLock } from '../../host/system-calls.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { absent, dictionary } from '../../image/descriptor.ts'
import { parseJson } from '../../image/json.ts'
import { shownWords } from '../../image/reference.ts'
import type { TransferContext } from '../source.ts'
import { entryNameAnnotation } from './entry-name.ts'

/**
 * Makes sure that the folder is a layout: an empty one, or one that is not there, becomes one; so does one in which an
 * earlier beginning was cut short. What killed processes left in it is removed.
 *
 * @throws ForerunError `archive` when it is a file or holds something else, which then is as it was; `interrupted`.
 */
export async function openLayoutFolder(folder: string, context: TransferContext): Promise<void> {
  makeFolder(folder)
  using _lock = await lockFolder(folder, context)
  const marker = readWhenPresent(join(folder, 'oci-layout'))
  if (marker !== undefined) checkVersion(marker, folder)
  else beginLayout(folder)
  removeLeftovers(folder)
}

/**
 * Enters an image: an entry of the same name, or for `undefined` the nameless one of the same digest, is replaced; all
 * else in `index.json` stays, whether forerun knows it or not. One durable step.
 *
 * @throws ForerunError `manifest` for an index that cannot be read; `interrupted`.
 */
export async function enterIntoLayout(
  folder: string,
  descriptor: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>,
  { name, context }: { name: string | undefined; context: TransferContext },
): Promise<void> {
  using _lock = await lockFolder(folder, context)
  const bytes = readWhenPresent(join(folder, 'index.json')) ?? Buffer.from(emptyIndex)
  const index = parseJson(bytes, indexSchema, { document: `'${join(folder, 'index.json')}'` })
  const others = index.manifests.filter((entry) => {
    const entryName = entry.annotations?.[entryNameAnnotation]
    return entryName !== name || (name === undefined && entry.digest !== descriptor.digest)
  })
  const entry = name === undefined ? descriptor : { ...descriptor, annotations: { [entryNameAnnotation]: name } }
  writeFileDurably(join(folder, 'index.json'), JSON.stringify({ ...index, manifests: [...others, entry] }))
}

/**
 * Makes a file, directly in the layout, for what becomes a blob when it is whole. Its lock tells others, while it is open,
 * that its writer lives.
 */
export async function temporaryFile(
  folder: string,
  context: TransferContext,
): Promise<{ readonly path: string; readonly file: FileHandle }> {
  using _lock = await lockFolder(folder, context)
  const path = join(folder, `${temporaryPrefix}${randomBytes(6).toString('hex')}`)
  const file = await open(path, 'wx', 0o644)
  tryLock(file.fd)
  return { path, file }
}

const temporaryPrefix = '.forerun-'

const emptyIndex = '{"schemaVersion":2,"manifests":[]}'

/** What is not known of is kept as it is. */
const indexSchema = v.looseObject({
  schemaVersion: v.literal(2),
  manifests: v.array(v.looseObject({ digest: v.string(), annotations: absent(dictionary(v.string())) })),
})

const markerSchema = v.object({ imageLayoutVersion: v.string() })

function makeFolder(folder: string): void {
  try {
    if (mkdirSync(folder, { recursive: true }) !== undefined) syncDirectory(dirname(folder))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error
    throw noLayout(folder, 'it is no folder')
  }
}

/** Held only while the names in the folder are looked at or changed. */
async function lockFolder(folder: string, { signal }: TransferContext): Promise<Disposable> {
  const fd = openSync(folder, 'r')
  try {
    while (!tryLock(fd)) await sleep(20, undefined, { signal })
  } catch (cause) {
    closeSync(fd)
    if (!signal.aborted) throw cause
    throw new ForerunError('interrupted', `interrupted while waiting for another process to write to '${folder}'`, {
      cause,
    })
  }
  return { [Symbol.dispose]: () => closeSync(fd) }
}

function checkVersion(marker: Buffer, folder: string): void {
  const { imageLayoutVersion } = parseJson(marker, markerSchema, { document: `'${join(folder, 'oci-layout')}'` })
  if (imageLayoutVersion !== '1.0.0') {
    throw noLayout(folder, `its version is '${imageLayoutVersion.slice(0, 20)}' where only 1.0.0 is known`)
  }
}

/** The file `oci-layout`, which makes it a layout, comes last. */
function beginLayout(folder: string): void {
  if (!isEmptyOrBegun(folder)) throw noLayout(folder, 'it holds other things')
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true })
  writeFileDurably(join(folder, 'index.json'), emptyIndex)
  writeFileDurably(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}

function isEmptyOrBegun(folder: string): boolean {
  return readdirSync(folder).every((name) => {
    if (name === 'index.json') return readFileSync(join(folder, name), 'utf8') === emptyIndex
    if (name === 'blobs') return readdirSync(join(folder, name), { recursive: true }).every((each) => each === 'sha256')
    return leftover.test(name)
  })
}

function noLayout(folder: string, reason: string): ForerunError {
  return new ForerunError('archive', `'${shownWords(folder)}' is no OCI layout: ${reason}`, {
    hint: 'Name a layout, an empty folder, or one that is not there yet.',
  })
}

/** What `temporaryFile` and `writeFileDurably` make. */
const leftover = /^\.(?:forerun-|index\.json\.|oci-layout\.)[0-9a-f]{12}$/

function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (leftover.test(name) && !isInUse(join(folder, name))) rmSync(join(folder, name))
  }
}

/**
 * Files that are written under the folder's lock are nobody's while this process has it. A blob may get its own name at any
 * time, and is then no leftover either.
 */
function isInUse(path: string): boolean {
  if (!basename(path).startsWith(temporaryPrefix)) return false
  const fd = openWhenPresent(path)
  if (fd === undefined) return true
  try {
    return !tryLock(fd)
  } finally {
    closeSync(fd)
  }
}

function openWhenPresent(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
