import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { type Environment, ownEnvironment } from '../host/own-environment.ts'
import { isAbsent, readWhenPresent } from '../host/read-when-present.ts'
import { requireRootOnly } from '../host/root-only.ts'
import { parsePolicy } from './parse-policy.ts'
import { acceptEverything, type Policy } from './policy.ts'

/** Where a policy is looked for: the first file that is there counts, alone. */
export interface PolicyPlaces {
  readonly files: readonly string[]
  /** Whether the one file was asked for by name, so that it must be there. */
  readonly isNamed: boolean
}

/**
 * The places of the containers tools, as of 2026: `$CONTAINERS_POLICY_JSON`, else `$XDG_CONFIG_HOME` (default
 * `~/.config`)`/containers/policy.json`, `/etc/containers/policy.json`, `/usr/share/containers/policy.json`.
 *
 * @param environment default: `ownEnvironment`.
 */
export function policyPlaces(environment: Environment = ownEnvironment()): PolicyPlaces {
  const { CONTAINERS_POLICY_JSON: file, XDG_CONFIG_HOME: configuration, HOME: home } = environment
  if (file !== undefined && file !== '') return { files: [file], isNamed: true }
  const own = configuration || (home && join(home, '.config'))
  const folders = [...(own ? [join(own, 'containers')] : []), '/etc/containers', '/usr/share/containers']
  return { files: folders.map((folder) => join(folder, 'policy.json')), isNamed: false }
}

/**
 * The policy of this host. Where there is no policy.json at all, every image is accepted: forerun runs on hosts that have no
 * containers tools, and a file that no package brought cannot be asked for.
 *
 * @throws ForerunError `policy` when the file cannot be read or understood, or others than root may change it: then no image is
 * accepted.
 */
export function readPolicy(places: PolicyPlaces = policyPlaces()): Policy {
  for (const file of places.files) {
    const bytes = readPolicyFile(file)
    if (bytes !== undefined) return parsePolicy(bytes, { file })
  }
  if (!places.isNamed) return acceptEverything
  throw unreadable(places.files.join(', '), 'is not there')
}

/**
 * One of the files; undefined when it is not there. A link to nothing, of the file or of its folder, is a policy that cannot be
 * read: it must not open the host.
 *
 * @throws ForerunError `policy`
 */
export function readPolicyFile(file: string): Buffer | undefined {
  requireRootOnly(file, 'policy')
  try {
    const bytes = readWhenPresent(file)
    const folder = dirname(file)
    if (bytes !== undefined || isAbsent(folder) || existsSync(folder)) return bytes
    throw unreadable(file, `cannot be read: ${folder} is a link to nothing`)
  } catch (cause) {
    if (cause instanceof ForerunError) throw cause
    throw unreadable(file, 'cannot be read', cause)
  }
}

function unreadable(file: string, what: string, cause?: unknown): ForerunError {
  return new ForerunError('policy', `${file} ${what}, so that no image is accepted`, {
    hint: 'Check the file and $CONTAINERS_POLICY_JSON.',
    cause,
  })
}
