import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import { tmpfilesPaths } from '../../bundle/tmpfiles.ts'
import { parseUnit } from '../../bundle/unit-file.ts'
import { unitName, unitPath } from '../../host/paths.ts'
import { type DeploymentInfo, keptRoot } from '../../store/deployment.ts'
import { enablementLinks, type UnitLink } from '../../systemd/enablement.ts'
import type { Change } from '../../transaction/change.ts'
import { isPresent } from '../../transaction/files.ts'
import type { Context } from '../context.ts'
import { placedChecksum } from '../placed-files.ts'
import type { CheckoutPlan } from './checkout-plan.ts'
import type { GivenValues } from './given-values.ts'
import type { HostView } from './host-view.ts'
import type { InstallableImage } from './installable-image.ts'
import { type PlannedFile, parentsOf, planFiles, planLinks } from './plan-files.ts'
import type { Arrival } from './transition.ts'

/** All that is decided of a deployment, before the host is touched. */
export interface DeploymentPlan {
  readonly name: string
  /** Where the deployment is to lie. */
  readonly folder: string
  readonly bundle: Bundle
  readonly image: InstallableImage
  readonly info: DeploymentInfo
  /** undefined where there is nothing to check out. */
  readonly checkout: CheckoutPlan | undefined
  /** Directories before what is in them. */
  readonly files: readonly PlannedFile[]
  readonly view: HostView
}

/**
 * Looks at the host for what is there already.
 *
 * @param options.view the host, without what an earlier deployment placed that this one follows.
 * @param options.made what tmpfiles.d lines of that one made.
 * @throws ForerunError `host-file`, `unit`.
 */
export async function planDeployment(
  bundle: Bundle,
  image: InstallableImage,
  options: {
    name: string
    folder: string
    runtime: string
    given: GivenValues
    readOnlyRoot: 'asked' | 'preferred' | undefined
    checkout: CheckoutPlan | undefined
    view: HostView
    made: readonly string[]
    context: Context
  },
): Promise<DeploymentPlan> {
  const { name, folder, runtime, checkout, view, context } = options
  const target = { name, view, paths: context.paths, emit: context.emit }
  const placed = planFiles(bundle, image, target)
  const files = [...placed, ...planLinks(await linksOf(bundle, { name, placed, context }), target)]
  const hostFiles = files.filter((file) => file.role === 'host' && file.kind !== 'directory')
  const info: DeploymentInfo = {
    image: image.name,
    revision: image.id,
    created: Math.floor(Date.now() / 1000),
    values: Object.fromEntries(bundle.values),
    'has-container-service': bundle.service !== undefined,
    'installed-files': hostFiles.map(({ path }) => path),
    'installed-files-checksum': Object.fromEntries(hostFiles.map((file) => [file.path, placedChecksum(file) ?? ''])),
    'installed-files-template': bundle.installedFilesTemplate,
    'rename-installed-files': bundle.renamedFiles,
    'rpm-installed': null,
    'system-package': 'no',
    remote: image.rootfs ?? null,
    'use-links': bundle.useLinks,
    runtime,
    forerun: {
      version: context.version,
      manifest: image.manifest,
      files: files.map(withoutContent),
      'tmpfiles-made': [...new Set([...options.made, ...absentPaths(tmpfilesPaths(bundle.service?.tmpfiles ?? ''))])],
      checkout: checkout?.method,
      overlay: overlayInfo(bundle),
      set: [...options.given.assignments.keys()],
      'read-only': options.readOnlyRoot,
      placed: true,
      secrets: bundle.secrets,
      credentials: Object.fromEntries(options.given.credentials),
      'health-check': bundle.service?.healthCheck,
    },
  }
  return { name, folder, bundle, image, info, checkout, files, view }
}

/** @param options.staged the complete deployment, waiting beside its place. */
export function arrivalOf(
  { name, folder, bundle, info, files }: DeploymentPlan,
  options: { staged: string; volumes: readonly Change[]; goesOn: boolean },
): Arrival {
  const { service } = bundle
  const arriving = service && {
    unit: unitName(name),
    container: { name, runtime: info.runtime },
    mountUnit: service.mountUnit?.name,
    tmpfiles:
      service.tmpfiles === undefined
        ? undefined
        : { file: tmpfilesCopy(name, folder), absent: absentPaths(tmpfilesPaths(service.tmpfiles)) },
    volumes: options.volumes,
    goesOn: options.goesOn,
    keptRoot: keptRoot({ folder, info }),
  }
  return { name, folder, staged: options.staged, files, service: arriving }
}

async function linksOf(
  { service }: Bundle,
  { name, placed, context }: { name: string; placed: readonly PlannedFile[]; context: Context },
): Promise<readonly UnitLink[]> {
  if (service === undefined) return []
  const files = new Map([[unitPath(context.paths, name), service.unit]])
  for (const unit of alsoEnabled(service.unit)) {
    const file = findUnit(unit, placed)
    if (file !== undefined) files.set(file.path, file.text)
  }
  const links = await enablementLinks(unitName(name), files, context)
  await tellAbsentUnits(links, context)
  return links
}

/** A unit that is wanted by one that does not exist is never started by it, which is often a misspelt name. */
async function tellAbsentUnits(links: readonly UnitLink[], { manager, emit }: Context): Promise<void> {
  const wanting = links.flatMap(({ path }) => {
    const [, unit] = /\/([^/]+)\.(?:wants|requires|upholds)\/[^/]+$/.exec(path) ?? []
    return unit === undefined ? [] : [{ unit, wanted: basename(path) }]
  })
  if (wanting.length === 0) return
  const states = await (await manager()).statuses(wanting.map(({ unit }) => unit))
  for (const { unit, wanted } of wanting) {
    if (states.get(unit)?.loadState !== 'not-found') continue
    emit({ type: 'notice', message: `${wanted} is wanted by ${unit}, which does not exist on this host` })
  }
}

function alsoEnabled(unit: string): string[] {
  return parseUnit(unit)
    .filter(({ section, key }) => section === 'Install' && key === 'Also')
    .flatMap(({ value }) => value.split(/\s+/).filter((word) => word !== ''))
}

/** Among the files that the image brings, and in the places of the host's units (systemd.unit(5), "Unit File Load Path"). */
function findUnit(unit: string, placed: readonly PlannedFile[]): { path: string; text: string } | undefined {
  const folders = [
    '/etc/systemd/system',
    '/run/systemd/system',
    '/usr/local/lib/systemd/system',
    '/usr/lib/systemd/system',
  ]
  for (const path of folders.map((folder) => join(folder, basename(unit)))) {
    const file = placed.find((each) => each.path === path)
    if (file?.kind === 'file') return { path, text: contentOf(file.content) }
    if (isPresent(path)) return { path, text: readFileSync(path, 'utf8') }
  }
  return undefined
}

function contentOf(content: Extract<PlannedFile, { kind: 'file' }>['content']): string {
  return 'bytes' in content ? Buffer.from(content.bytes).toString() : readFileSync(content.copyOf, 'utf8')
}

function withoutContent(file: PlannedFile) {
  if (file.kind !== 'file') return file
  const { content: _, ...placed } = file
  return placed
}

function overlayInfo({ service }: Bundle): DeploymentInfo['forerun']['overlay'] {
  const unit = service?.mountUnit
  return unit && { 'mount-unit': unit.name, kind: unit.kind, 'keep-changes': unit.keepChanges }
}

/** The copy of tmpfiles.d lines that a deployment has. */
export function tmpfilesCopy(name: string, folder: string): string {
  return join(folder, `tmpfiles-${name}.conf`)
}

/** Paths that are not there, with those of their parents that are not, parents first. */
export function absentPaths(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap((path) => [...parentsOf(path), path]))].filter((path) => !isPresent(path))
}
