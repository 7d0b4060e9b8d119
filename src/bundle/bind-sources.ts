import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import { isBindMount, isReadOnly } from './bind-mount.ts'
import { capabilitiesOf, hasOwnNamespace } from './runtime-configuration.ts'
import type { Mount, RuntimeConfiguration } from './runtime-schema.ts'
import { withoutVarRun } from './var-run.ts'

/**
 * Refuses a bind mount whose source lies in that of a writable one: the container could put a symbolic link there, which
 * the runtime follows at the next start, as root, to any folder of the host. Where the container has power over the host
 * already, it gains nothing by it, and images that are written so are taken as they are.
 *
 * @throws ForerunError `configuration`.
 */
export function refuseNestedSources(configuration: RuntimeConfiguration): void {
  if (!hasOwnNamespace(configuration, 'mount') || capabilitiesOf(configuration).has('CAP_SYS_ADMIN')) return
  const { mounts = [] } = configuration
  const sources = mounts.filter((mount) => isBindMount(mount) && mount.source?.startsWith('/'))
  for (const outer of sources.filter((mount) => !isReadOnly(mount))) {
    const folder = sourceOf(outer)
    if (foldersOfHost.has(folder)) continue
    const inner = sources.find((mount) => sourceOf(mount).startsWith(`${folder}/`))
    if (inner === undefined) continue
    throw new ForerunError(
      'configuration',
      `'${inner.source}' cannot be mounted in '${inner.destination}': the container may write to '${outer.source}', and could make it a link to any folder of the host`,
      { hint: 'Have the image built anew with folders for its mounts that do not lie in each other.' },
    )
  }
}

/** Who may write to one of them has the host: units, its programs, its package manager's data lie there. */
const foldersOfHost = new Set(['/boot', '/dev', '/etc', '/root', '/run', '/usr', '/var', '/var/lib'])

function sourceOf({ source = '' }: Mount): string {
  return withoutVarRun(posix.resolve('/', source))
}
