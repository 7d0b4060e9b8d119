import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { namesIn } from '../host/folder-entries.ts'
import { mountsAt } from '../host/mounts.ts'
import { readWhenPresent } from '../host/read-when-present.ts'

/** What was mounted for looking at it. */
export interface MountedTree {
  readonly kind: 'container' | 'image'
  /** The container's name, or the image's full name. */
  readonly source: string
  readonly imageId: string
  /** Where, without symbolic links. */
  readonly directory: string
}

/** How it is known again: while this boot lasts, by the folder that is mounted. */
interface MountRecord extends MountedTree {
  readonly boot: string
  readonly device: string
  readonly inode: string
}

/** The folder of one mount: its record, the checkout of an image (`root`), and where it is mounted before all else (`bound`). */
export interface MountFolder {
  /** What no other folder of the host is called. */
  readonly name: string
  readonly path: string
  /** undefined where a command was killed, or the power failed, before it was written. */
  readonly tree: MountedTree | undefined
  /** Whether the command that made it came to its end. */
  readonly isComplete: boolean
  /** `covered`: something else is mounted over it. `gone`: also where it was never there. */
  readonly state: 'mounted' | 'covered' | 'gone'
}

/** In the store, so that a checkout's files can be hard links, and only root gets to them by that path. */
export function mountsFolder(store: string): string {
  return join(store, 'mounts')
}

/** @returns its path. */
export function makeMountFolder(store: string): string {
  const path = join(mountsFolder(store), crypto.randomUUID())
  mkdirSync(path, { recursive: true, mode: 0o700 })
  mkdirSync(boundPath(path), { mode: 0o700 })
  return path
}

export function boundPath(folder: string): string {
  return join(folder, 'bound')
}

export function mountedRootPath(folder: string): string {
  return join(folder, 'root')
}

/** Tells what is about to be mounted at its directory, and lies at `boundPath` by now. */
export function recordMount(folder: string, tree: MountedTree): void {
  const record: MountRecord = { ...tree, boot: bootId(), ...identity(boundPath(folder)) }
  writeFileSync(join(folder, beginning), JSON.stringify(record), { mode: 0o600 })
}

export function completeMount(folder: string): void {
  renameSync(join(folder, beginning), join(folder, complete))
}

export function readMountFolders(store: string): MountFolder[] {
  return namesIn(mountsFolder(store))
    .sort()
    .map((name) => {
      const path = join(mountsFolder(store), name)
      const whole = readRecord(join(path, complete))
      const record = whole ?? readRecord(join(path, beginning))
      const state = record === undefined ? 'gone' : stateOf(record)
      return { name, path, tree: record && treeOf(record), isComplete: whole !== undefined, state }
    })
}

/** The mounts that are there, by directory. */
export function readMounts(store: string): MountedTree[] {
  return readMountFolders(store)
    .flatMap(({ tree, isComplete, state }) => (tree !== undefined && isComplete && state !== 'gone' ? tree : []))
    .sort((a, b) => (a.directory < b.directory ? -1 : 1))
}

const beginning = 'mount.new'
const complete = 'mount'

function stateOf({ directory, boot, device, inode }: MountRecord): MountFolder['state'] {
  const count = boot === bootId() ? mountsAt(directory) : 0
  if (count === 0) return 'gone'
  const found = visibleIdentity(directory)
  if (found?.device === device && found.inode === inode) return 'mounted'
  return count === 1 ? 'gone' : 'covered'
}

/** undefined where somebody's own file system does not answer, or not to root. */
function visibleIdentity(path: string): Pick<MountRecord, 'device' | 'inode'> | undefined {
  try {
    return identity(path)
  } catch (error) {
    if (['EACCES', 'EIO', 'ENOENT', 'ENOTCONN', 'ESTALE'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      return undefined
    }
    throw error
  }
}

function identity(path: string): Pick<MountRecord, 'device' | 'inode'> {
  const { dev, ino } = statSync(path, { bigint: true })
  return { device: `${dev}`, inode: `${ino}` }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

function treeOf({ kind, source, imageId, directory }: MountRecord): MountedTree {
  return { kind, source, imageId, directory }
}

const recordSchema: v.GenericSchema<unknown, MountRecord> = v.object({
  kind: v.picklist(['container', 'image']),
  source: v.string(),
  imageId: v.string(),
  directory: v.string(),
  boot: v.string(),
  device: v.string(),
  inode: v.string(),
})

/** What a power cut tore is of another boot, and as good as absent. */
function readRecord(path: string): MountRecord | undefined {
  const bytes = readWhenPresent(path)
  if (bytes === undefined) return undefined
  try {
    return v.parse(recordSchema, JSON.parse(bytes.toString()))
  } catch (error) {
    if (error instanceof SyntaxError || v.isValiError(error)) return undefined
    throw error
  }
}
