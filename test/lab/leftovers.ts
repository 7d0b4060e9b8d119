import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type ControlGroup, controlGroup, controlGroups } from './cgroup.ts'

/** What a host holds of the machine: mounts beneath a folder of its own, and processes in a control group of its own. */
export interface Holdings {
  readonly folder: string
  readonly group: ControlGroup
}

/** Gives all of it back. May be repeated. @throws when something cannot be unmounted. */
export async function ending({ folder, group }: Holdings): Promise<void> {
  group.kill()
  await group.remove()
  unmount(folder)
}

/**
 * Gives it back when this process ends before the owner does: by Ctrl-C, by another signal, or by leaving without
 * disposal. Returns the function that calls this off.
 */
export function releaseAtEnd(holdings: Holdings): () => void {
  if (held.size === 0) {
    process.on('exit', releaseAll)
    for (const signal of signals) process.on(signal, endBySignal)
  }
  held.add(holdings)
  return () => {
    held.delete(holdings)
    if (held.size > 0) return
    process.off('exit', releaseAll)
    for (const signal of signals) process.off(signal, endBySignal)
  }
}

/** Gives back what labs hold whose process was killed. */
export async function sweep(): Promise<void> {
  for (const name of controlGroups('forerun-lab-')) {
    if (!ownerIsGone(name)) continue
    const group = controlGroup(name)
    group.kill()
    await group.remove()
  }
  for (const name of readdirSync(tmpdir())) {
    if (/^forerun-lab-\d+-/.test(name) && ownerIsGone(name)) unmount(join(tmpdir(), name))
  }
}

const held = new Set<Holdings>()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function endBySignal(signal: NodeJS.Signals): void {
  releaseAll()
  for (const each of signals) process.off(each, endBySignal)
  process.kill(process.pid, signal)
}

/** Nothing can be awaited here: the empty groups are left to the next sweep. */
function releaseAll(): void {
  for (const { folder, group } of held) {
    group.kill()
    unmount(folder)
  }
  held.clear()
}

function unmount(folder: string): void {
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

function ownerIsGone(name: string): boolean {
  const pid = /^forerun-lab-(\d+)-/.exec(name)?.[1]
  return pid !== undefined && !existsSync(`/proc/${pid}`)
}
