import { join } from 'node:path'
import { type Environment, ownEnvironment } from '../../../host/own-environment.ts'

/** Whose settings of the containers tools are read. */
export interface ContainersPlace {
  /** The tree whose `/etc`, `/usr` and `/var` are meant. Default `/`. */
  readonly root?: string
  /** Default: `ownEnvironment`. */
  readonly environment?: Environment
  /** Default: that of the process. */
  readonly uid?: number
}

/**
 * Where the containers tools keep settings, what goes before first: the user's folder, if there is a home, then those of `/etc` and
 * `/usr/share`. A user's folder is where the environment says, whatever the root.
 */
export function containersFolders({ root = '/', environment = ownEnvironment() }: ContainersPlace): string[] {
  const user = environment.XDG_CONFIG_HOME || (environment.HOME && join(environment.HOME, '.config'))
  const tops = [...(user ? [user] : []), join(root, 'etc'), join(root, 'usr/share')]
  return tops.map((top) => join(top, 'containers'))
}

/**
 * The folders of drop-ins, what goes before first: for `registries.conf`, `registries.conf.d` in each of `containersFolders`, and beside
 * those of the system, those for root or for other users only (`registries.rootful.conf.d`).
 */
export function dropInFolders(place: ContainersPlace, { name, suffix }: { name: string; suffix: string }): string[] {
  const { uid = process.getuid?.() ?? 0 } = place
  const own = `${name}${suffix}`
  const special =
    uid === 0 ? [`${name}.rootful${suffix}`] : [`${name}.rootless${suffix}/${uid}`, `${name}.rootless${suffix}`]
  const folders = containersFolders(place)
  const system = folders.slice(-2).flatMap((folder) => [...special, own].map((part) => join(folder, part)))
  return [...folders.slice(0, -2).map((folder) => join(folder, own)), ...system]
}
