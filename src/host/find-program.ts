import { accessSync, constants, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { foreignPart, isRoot } from './root-only.ts'

/**
 * The absolute path of a program of `PATH`; undefined when there is none. Root is given only programs that nobody else can
 * change, in folders that nobody else writes to: others are passed over, as are folders that depend on where one is.
 */
export function findProgram(name: string, path: string | undefined = process.env.PATH): string | undefined {
  const candidates = programFolders(path).map((folder) => join(folder, name))
  return candidates.find((candidate) => isExecutable(candidate) && !(isRoot() && foreignPart(candidate) !== undefined))
}

/** The folders of `PATH` in which programs are looked up, for the programs that a program starts, too. */
export function programFolders(path: string | undefined = process.env.PATH): string[] {
  const folders = (path || defaultPath).split(':').filter((folder) => isAbsolute(folder))
  return isRoot() ? folders.filter((folder) => foreignPart(folder) === undefined) : folders
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) return false
    throw error
  }
}
