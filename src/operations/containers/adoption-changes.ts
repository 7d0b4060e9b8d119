import { basename, join } from 'node:path'
import { unitName } from '../../host/paths.ts'
import { placedContentPath } from '../../store/deployment.ts'
import type { Change } from '../../transaction/change.ts'
import type { AdoptedDeployment, RewrittenFile } from './adoption-plan.ts'
import { placing } from './file-changes.ts'

/** A container of Project Atomic's tool that forerun takes over. */
export interface Adoption {
  readonly name: string
  /** That tool's folder of deployments, and forerun's. */
  readonly checkouts: string
  readonly containers: string
  readonly current: AdoptedDeployment
  readonly other: AdoptedDeployment | undefined
  /** Unit and tmpfiles.d lines that name the old folder. */
  readonly onHost: readonly RewrittenFile[]
}

/**
 * The deployments are moved, which a container that runs from them does not notice, and each leaves a link in its old place for
 * scripts and for what else names it. Then forerun's own link makes it a container of forerun, and the unit is told the new
 * place. Neither the service nor the runtime is asked for anything; undoing starts again what a boot meanwhile could not start.
 */
export function adoptionChanges({ name, checkouts, containers, current, other, onHost }: Adoption): Change[] {
  const { info, folder, files } = current
  const unit = unitName(name)
  const owner = { uid: 0, gid: 0 }
  const hasService = info['has-container-service']
  return [
    ...(hasService
      ? ([
          { kind: 'unit-state', unit, container: { name, runtime: info.runtime } },
          { kind: 'reload', when: 'undone' },
        ] as const)
      : []),
    ...(other === undefined ? [] : moved(other)),
    ...moved(current),
    { kind: 'make-symlink', path: join(containers, name), target: basename(folder), ...owner },
    { kind: 'replace-symlink', path: join(checkouts, name), target: join(containers, name), ...owner },
    ...onHost.map(replaced),
    ...files.filter(({ role }) => role === 'drop-in').map(placing),
    ...(hasService ? [{ kind: 'reload', when: 'applied' } as const] : []),
  ]
}

/** What it placed on the host is kept in it, for a rollback. */
function moved({ from, folder, info, files, rewritten }: AdoptedDeployment): Change[] {
  const root = { uid: 0, gid: 0 }
  const contents = new Map(files.flatMap((file) => (file.kind === 'file' ? [[file.digest, file.content]] : [])))
  const bytes = Buffer.from(`${JSON.stringify(info, undefined, 2)}\n`)
  return [
    { kind: 'rename', path: from, to: folder },
    { kind: 'make-symlink', path: from, target: folder, ...root },
    { kind: 'make-directory', path: join(folder, 'placed'), mode: 0o700, ...root },
    ...[...contents].map(
      ([digest, content]): Change => ({
        kind: 'write-file',
        path: placedContentPath(folder, digest),
        content,
        mode: 0o600,
        ...root,
      }),
    ),
    ...rewritten.map((file) => replaced({ ...file, path: join(folder, basename(file.path)) })),
    { kind: 'replace-file', path: join(folder, 'info'), content: { bytes }, mode: 0o600, ...root },
  ]
}

function replaced({ path, text, mode, uid, gid }: RewrittenFile): Change {
  return { kind: 'replace-file', path, content: { bytes: Buffer.from(text, 'latin1') }, mode, uid, gid }
}
