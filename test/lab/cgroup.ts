import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A group of processes of the version-2 hierarchy. All is synchronous, so that it can be done while the process is being ended. */
export interface ControlGroup {
  readonly path: string
  /** Kills every process in it and below it at once, as pulling the plug would. */
  kill(): void
  /** Removes it and those below it, waiting a little for processes that are going. */
  remove(): Promise<void>
}

/** Makes the group, or takes the one of that name. @throws when the machine has no version-2 hierarchy to write to. */
export function controlGroup(name: string): ControlGroup {
  const path = join(hierarchy(), name)
  mkdirSync(path, { recursive: true })
  return {
    path,
    kill: () => {
      if (existsSync(path)) writeFileSync(join(path, 'cgroup.kill'), '1')
    },
    remove: async () => {
      const end = Date.now() + 10_000
      while (existsSync(path)) {
        try {
          removeBelow(path)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || Date.now() > end) throw error
          await sleep(20)
        }
      }
    },
  }
}

/** Names of the groups that begin so: those of a lab that died are among them. */
export function controlGroups(prefix: string): string[] {
  return readdirSync(hierarchy()).filter((name) => name.startsWith(prefix))
}

function hierarchy(): string {
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, path, type] = line.split(' ')
    if (type === 'cgroup2' && path !== undefined) return path
  }
  throw new Error('the lab needs a mounted version-2 control group hierarchy (cgroup2)')
}

function removeBelow(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeBelow(join(path, entry.name))
  }
  rmdirSync(path)
}
