import type { PrivilegeDifference } from '../../bundle/compare-privileges.ts'
import type { Privilege, PrivilegeKind, ToldPrivilege } from '../../bundle/privilege.ts'
import { toldPrivilege } from '../../bundle/privilege.ts'
import { ForerunError } from '../../errors.ts'
import { unitName } from '../../host/paths.ts'
import type { PlacedFile } from '../../host/placed-file.ts'
import { readWhenPresent } from '../../host/read-when-present.ts'
import type { Deployment } from '../../store/deployment.ts'
import type { Context } from '../context.ts'
import { placedFiles } from '../placed-files.ts'
import { type DeploymentPlan, tmpfilesCopy } from './deployment-plan.ts'
import { plannedPrivileges, privilegeDifference } from './deployment-privileges.ts'
import { type HostFileView, hostFileViews } from './host-files.ts'

/** What a container may do on the host, and the files of its image there. */
export interface WholePower {
  readonly privileges: readonly ToldPrivilege[]
  readonly files: readonly HostFileView[]
}

/** What of it a next deployment has, and the one before had not. */
export interface MorePower extends WholePower {
  readonly name: string
}

export interface PowerChange {
  /** What has to be accepted before. */
  readonly asked: MorePower
  /** All that it may do more, and no more. */
  readonly more: readonly ToldPrivilege[]
  readonly less: readonly ToldPrivilege[]
}

/** What an update changes of what a container may do. */
export function powerChange(plan: DeploymentPlan, before: Deployment, context: Context): PowerChange {
  const { more, less } = differenceOf(plan, before, context)
  return {
    asked: {
      name: plan.name,
      privileges: asking({ more, less }, plan).map(toldPrivilege),
      files: newFiles(plan, before, context),
    },
    more: more.map(toldPrivilege),
    less: less.map(toldPrivilege),
  }
}

/** A deployment that is damaged had no privileges that anybody knows of. */
function differenceOf(plan: DeploymentPlan, before: Deployment, { emit }: Context): PrivilegeDifference {
  try {
    return privilegeDifference(plan, before)
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    emit({ type: 'notice', message: `What ${before.name} may do is not known: ${error.message}` })
    return { more: plannedPrivileges(plan), less: [] }
  }
}

/**
 * All but what says when and how much a service runs. Of an image without a configuration of its own, filter and mounts are those of
 * this host, which may change with its packages.
 */
function asking({ more }: PrivilegeDifference, { bundle }: DeploymentPlan): readonly Privilege[] {
  const isOfHost = ({ kind }: Privilege): boolean => bundle.service?.choosesRoot === true && ofHost.includes(kind)
  return more.filter((each) => each.weight === 'power' || !(harmless.includes(each.kind) || isOfHost(each)))
}

const harmless: readonly PrivilegeKind[] = ['dependency', 'rlimit', 'scheduling', 'unit-setting', 'tmpfiles']
const ofHost: readonly PrivilegeKind[] = ['seccomp', 'mount']

/**
 * The host files and tmpfiles.d lines by which a next deployment gets power over the host that the one before did not have, or
 * with another content: that was accepted then.
 */
function newFiles({ name, bundle, files }: DeploymentPlan, before: Deployment, { paths }: Context): HostFileView[] {
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
