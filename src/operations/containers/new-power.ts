import { unitName } from '../../host/paths.ts'
import type { PlacedFile } from '../../host/placed-file.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import type { Deployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { type DeploymentPlan, tmpfilesCopy } from './deployment-plan.ts'
import { type HostFileView, hostFileViews } from './host-files.ts'
import { placedFiles } from './placed-files.ts'

/**
 * The host files and tmpfiles.d lines by which a next deployment gets power over the host that the one before did not have, or
 * with another content: that was accepted then.
 */
export function newPower(
  { name, bundle, files }: DeploymentPlan,
  before: Deployment,
  { paths }: Context,
): HostFileView[] {
  const lines = readWhenPresent(tmpfilesCopy(name, before.folder))?.toString()
  const had = new Set(powerOf(name, placedFiles(before, paths), lines).map(({ key }) => key))
  const powerful = powerOf(name, files, bundle.service?.tmpfiles).filter(({ key }) => !had.has(key))
  return powerful.map(({ view }) => view)
}

function powerOf(
  name: string,
  files: readonly PlacedFile[],
  tmpfiles: string | undefined,
): { view: HostFileView; key: string }[] {
  const digests = new Map(files.map((file) => [file.path, file.kind === 'file' ? file.digest : '']))
  return hostFileViews(files, { unit: unitName(name), tmpfiles })
    .filter(({ power }) => power.length > 0)
    .map((view) => ({ view, key: JSON.stringify([view, view.kind === 'line' ? '' : digests.get(view.path)]) }))
}
