import { userInfo } from 'node:os'
import { isRoot } from './root-only.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The environment of this process, as far as it says whose settings count. Root's home is what the user database says, and
 * `XDG_*` folders count only in it (of a session's, root's own): `sudo` and `su` may leave those of another user, whose files
 * must not decide for root. For other users it is as it is.
 */
export function ownEnvironment(environment: Environment = process.env): Environment {
  if (!isRoot()) return environment
  const home = homeOfRoot()
  const isOwn = (folder = ''): boolean => folder === '/run/user/0' || (home !== undefined && isIn(home, folder))
  const own = Object.entries(environment).filter(([name, value]) => !/^XDG_.*_(HOME|DIR)$/.test(name) || isOwn(value))
  return { ...Object.fromEntries(own), HOME: home }
}

function homeOfRoot(): string | undefined {
  try {
    return userInfo().homedir
  } catch (error) {
    // No entry of that user.
    if ((error as NodeJS.ErrnoException).code === 'ERR_SYSTEM_ERROR') return undefined
    throw error
  }
}

function isIn(folder: string, path: string): boolean {
  return folder !== '/' && path.startsWith(`${folder}/`) && !path.split('/').includes('..')
}
