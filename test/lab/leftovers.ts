import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { heldFolder } from './at-end.ts'
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
export function memoryFolder(name: string): ReturnType<typeof heldFolder> {
  return heldFolder(`/dev/shm/forerun-${name}-`)
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
