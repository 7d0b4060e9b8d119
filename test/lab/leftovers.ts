import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { controlGroup, controlGroups } from './cgroup.ts'
import { execute } from './process.ts'

/**
 * Makes a folder in memory for one host or registry, after giving back what labs left whose process was killed. Its last
 * part names its owner, and nothing else has that name: it serves for a control group and a host too.
 */
export async function labFolder(): Promise<string> {
  await sweep()
  const folder = join(tmpdir(), `forerun-lab-${process.pid}-${randomBytes(4).toString('hex')}`)
  mkdirSync(folder)
  await execute(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'forerun-lab', folder])
  return folder
}

/** A folder in memory, removed when it is disposed of, and when this process ends before. */
export function memoryFolder(name: string): { readonly path: string } & Disposable {
  const path = mkdtempSync(`/dev/shm/forerun-${name}-`)
  const release = (): void => rmSync(path, { recursive: true, force: true })
  const disarm = releaseAtEnd(release)
  return {
    path,
    [Symbol.dispose]() {
      release()
      disarm()
    },
  }
}

/** Removes a `labFolder` and what is mounted at its `root`. May be repeated; synchronous. @throws when it cannot be unmounted. */
export function removeLabFolder(folder: string): void {
  if (!existsSync(folder)) return
  for (const path of [join(folder, 'root'), folder]) {
    // Detached, since a process that was just killed may still have a file open.
    const { stderr } = spawnSync('umount', ['--lazy', path], { encoding: 'utf8' })
    if (stderr !== '' && !/not mounted|no mount point|not found/.test(stderr)) throw new Error(stderr.trim())
  }
  rmSync(folder, { recursive: true })
  // Where systemd-nspawn lets a running host be given mounts; on a machine whose /run is on a disk it leaves it behind.
  rmSync(join('/run/systemd/nspawn/propagate', basename(folder)), { recursive: true, force: true })
}

/**
 * Has something given back when this process ends before it was disposed of: by Ctrl-C, by another signal, or by leaving.
 * Nothing can be awaited then. Returns the function that calls this off.
 */
export function releaseAtEnd(release: () => void): () => void {
  if (held.size === 0) {
    process.on('exit', releaseAll)
    for (const signal of signals) process.on(signal, endBySignal)
  }
  held.add(release)
  return () => {
    held.delete(release)
    if (held.size > 0) return
    process.off('exit', releaseAll)
    for (const signal of signals) process.off(signal, endBySignal)
  }
}

const held = new Set<() => void>()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function endBySignal(signal: NodeJS.Signals): void {
  releaseAll()
  for (const each of signals) process.off(each, endBySignal)
  process.kill(process.pid, signal)
}

function releaseAll(): void {
  for (const release of held) release()
  held.clear()
}

async function sweep(): Promise<void> {
  for (const name of controlGroups('forerun-lab-')) {
    if (!ownerIsGone(name)) continue
    const group = controlGroup(name)
    group.kill()
    await group.remove()
  }
  for (const name of readdirSync(tmpdir())) {
    if (ownerIsGone(name)) removeLabFolder(join(tmpdir(), name))
  }
}

function ownerIsGone(name: string): boolean {
  const pid = /^forerun-lab-(\d+)-[0-9a-f]{8}$/.exec(name)?.[1]
  return pid !== undefined && !existsSync(`/proc/${pid}`)
}
