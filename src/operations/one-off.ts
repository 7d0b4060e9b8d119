import { closeSync, constants, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { writeFileDurably } from '../host/durable-file.ts'
import { namesIn } from '../host/folder-entries.ts'
import { unitName } from '../host/paths.ts'
import { removeTree } from '../host/remove-tree.ts'
import { run } from '../host/run.ts'
import { tryLock } from '../host/system-calls.ts'
import type { Context } from './context.ts'

/** A container that runs one command, with all that it needs in a folder of its own. */
export interface OneOff extends AsyncDisposable {
  /** Beside the deployments, so that a checkout in it is on their file system. */
  readonly folder: string
  /** What the runtime calls it. */
  readonly id: string
  /** The unit of systemd that it and its runtime are in. */
  readonly scope: string
  /** Absolute path of the runtime. */
  readonly runtime: string
  /**
   * Has the root of a deployment mounted, if it is not. What was mounted for such containers alone is unmounted when the last of
   * them goes.
   */
  mountRoot(root: MountedRoot): Promise<void>
}

interface MountedRoot {
  /** The unit that mounts it. */
  readonly mountUnit: string
  /** The container whose root it is. */
  readonly container: string
}

/** What is written down of one, for whoever cleans up. */
interface OneOffRecord {
  readonly id: string
  readonly runtime: string
  readonly mounted?: MountedRoot
}

/**
 * Makes the folder of a container for one command. The kernel's lock on the folder (flock(2)) tells that its forerun is alive, so no
 * other lock is held while the command runs. Disposing removes all of it: the container, its control group, mounts and the folder.
 */
export async function openOneOff(wanted: Omit<OneOffRecord, 'mounted'>, context: Context): Promise<OneOff> {
  await removeAbandonedOneOffs(context)
  const { folder, fd } = lockedFolder(context.paths.containers)
  let record: OneOffRecord = wanted
  const write = (): void => writeFileDurably(recordPath(folder), JSON.stringify(record), { mode: 0o600 })
  write()
  return {
    folder,
    ...wanted,
    scope: scopeOf(folder),
    async mountRoot(mounted) {
      const manager = await context.manager()
      const { activeState } = await manager.status(mounted.mountUnit)
      if (activeState === 'active' && !mountedBefore(mounted, folder, context)) return
      record = { ...wanted, mounted }
      write()
      // systemd refuses what is started often: a script may run many commands in a row.
      await manager.resetFailed(mounted.mountUnit)
      await manager.start(mounted.mountUnit)
    },
    async [Symbol.asyncDispose]() {
      try {
        await remove(folder, record, context)
      } finally {
        closeSync(fd)
      }
    },
  }
}

/** Removes what was left by commands that were killed: of each its container, which may still run, its mounts and its folder. */
export async function removeAbandonedOneOffs(context: Context): Promise<void> {
  const { containers } = context.paths
  for (const folder of oneOffFolders(containers)) {
    const fd = lockIfAbandoned(folder)
    if (fd === undefined) continue
    try {
      await remove(folder, readRecord(folder), context)
    } catch (error) {
      // What cannot be cleaned up now stops no command, and the next one tries again.
      if (!(error instanceof ForerunError)) throw error
      context.emit({ type: 'notice', message: `${folder} stays: ${error.message}` })
    } finally {
      closeSync(fd)
    }
  }
}

/** Prefix of their folders, beside the deployments. */
const oneOffPrefix = '.run-'

/** Nobody sees the folder between making and locking it, or it is taken for an abandoned one, and another is made. */
function lockedFolder(containers: string): { folder: string; fd: number } {
  mkdirSync(containers, { recursive: true, mode: 0o700 })
  for (;;) {
    const folder = mkdtempSync(join(containers, oneOffPrefix))
    const fd = lockIfAbandoned(folder)
    if (fd === undefined) continue
    if (existsSync(folder)) return { folder, fd }
    closeSync(fd)
  }
}

/** The open folder, locked; undefined when its process is alive, or it is gone. */
function lockIfAbandoned(folder: string): number | undefined {
  let fd: number
  try {
    fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (tryLock(fd)) return fd
  closeSync(fd)
  return undefined
}

function oneOffFolders(containers: string): string[] {
  return namesIn(containers)
    .filter((name) => name.startsWith(oneOffPrefix))
    .map((name) => join(containers, name))
}

function recordPath(folder: string): string {
  return join(folder, 'one-off.json')
}

/** undefined where nothing was begun. */
function readRecord(folder: string): OneOffRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordPath(folder), 'utf8')) as OneOffRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Made of the folder's name, which no other has. */
function scopeOf(folder: string): string {
  return `forerun-run-${basename(folder).slice(oneOffPrefix.length)}.scope`
}

async function remove(folder: string, record: OneOffRecord | undefined, context: Context): Promise<void> {
  if (record !== undefined) {
    await deleteContainer(folder, record)
    // Whatever is left in it ends, and systemd removes the control group.
    await (await context.manager()).stop(scopeOf(folder))
  }
  const left = await removeTree(folder)
  if (left !== undefined) context.emit({ type: 'notice', message: `${folder} ${left}` })
  if (record?.mounted !== undefined) await unmountRoot(record.mounted, folder, context)
}

/** Only the one of this folder: another may have the same name. */
async function deleteContainer(folder: string, { id, runtime }: OneOffRecord): Promise<void> {
  if (!existsSync(runtime)) return
  const { status, stdout } = await run(runtime, ['state', id], { timeout: 60_000 })
  if (status !== 0 || ![folder, realpathSync(folder)].includes(bundleOf(stdout))) return
  await run(runtime, ['delete', '--force', id], { timeout: 60_000 })
}

/** OCI runtime specification, "State". */
function bundleOf(state: Buffer): string {
  try {
    return String((JSON.parse(state.toString()) as { bundle?: unknown }).bundle)
  } catch (error) {
    if (error instanceof SyntaxError) return ''
    throw error
  }
}

/** A service that was started meanwhile needs it, as others of its kind do. */
async function unmountRoot(mounted: MountedRoot, folder: string, context: Context): Promise<void> {
  if (mountedBefore(mounted, folder, context)) return
  const manager = await context.manager()
  const { activeState } = await manager.status(unitName(mounted.container))
  if (activeState === 'inactive' || activeState === 'failed') await manager.stop(mounted.mountUnit)
}

/** Whether it was mounted for another container of this kind. */
function mountedBefore({ mountUnit }: MountedRoot, folder: string, { paths }: Context): boolean {
  const others = oneOffFolders(paths.containers).filter((each) => each !== folder)
  return others.some((each) => readRecord(each)?.mounted?.mountUnit === mountUnit)
}
