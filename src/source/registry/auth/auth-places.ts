import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../../../errors.ts'
import { ownEnvironment } from '../../../host/own-environment.ts'
import type { ContainersPlace } from '../config/containers-folders.ts'

/** A file that may hold credentials. */
export interface AuthPlace {
  readonly path: string
  /** `dockercfg`: the entries alone, without `auths` around them. */
  readonly format: 'auth.json' | 'dockercfg'
  /** Named by the user, so that it has to be there. */
  readonly isNamed: boolean
  /** Named on the command line: root may name a file of somebody else's. */
  readonly isChosen: boolean
  /** Kept for root by whoever set up the host: those who may not read it do without. */
  readonly isPrivate: boolean
}

/**
 * Where credentials are looked for, first to last, as containers-auth.json(5) says; after those, `/etc/containers/auth.json`,
 * which is there at provisioning, when nobody has a home or has logged in. A file that is named (`--authfile`, `$REGISTRY_AUTH_FILE`)
 * stands in place of all.
 */
export function authPlaces(authfile: string | undefined, host: ContainersPlace = {}): AuthPlace[] {
  const { environment = ownEnvironment(), root = '/' } = host
  const named = authfile ?? (environment.REGISTRY_AUTH_FILE || undefined)
  if (named !== undefined) return [{ ...place(named), isNamed: true, isChosen: authfile !== undefined }]
  const { HOME: home } = environment
  const settings = environment.XDG_CONFIG_HOME || (home && join(home, '.config'))
  const docker = environment.DOCKER_CONFIG || (home && join(home, '.docker'))
  return [
    place(runtimeFile(host)),
    ...(settings ? [place(join(settings, 'containers/auth.json'))] : []),
    ...(docker ? [place(join(docker, 'config.json'))] : []),
    ...(home ? [{ ...place(join(home, '.dockercfg')), format: 'dockercfg' as const }] : []),
    { ...place(join(root, 'etc/containers/auth.json')), isPrivate: true },
  ]
}

/**
 * The file that logging in writes and logging out edits: the one named, else the first of the places.
 *
 * @throws ForerunError `credentials` when that is in a session's directory which is not there: made by hand, it would be
 * in the way of the session's own.
 */
export function loginFile(authfile: string | undefined, host: ContainersPlace = {}): string {
  const { environment = ownEnvironment() } = host
  const named = authfile ?? (environment.REGISTRY_AUTH_FILE || undefined)
  if (named !== undefined) return named
  const directory = environment.XDG_RUNTIME_DIR
  if (!directory || existsSync(directory)) return runtimeFile(host)
  throw new ForerunError('credentials', `there is no directory ${directory}, which XDG_RUNTIME_DIR names`, {
    hint: 'Take XDG_RUNTIME_DIR out of the environment, or name a file for the credentials with --authfile.',
  })
}

function place(path: string): AuthPlace {
  return { path, format: 'auth.json', isNamed: false, isChosen: false, isPrivate: false }
}

/** In memory: gone with the next boot. */
function runtimeFile({
  environment = ownEnvironment(),
  root = '/',
  uid = process.getuid?.() ?? 0,
}: ContainersPlace): string {
  const directory = environment.XDG_RUNTIME_DIR
  if (directory) return join(directory, 'containers/auth.json')
  return join(root, `run/containers/${uid}/auth.json`)
}
