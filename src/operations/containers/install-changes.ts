import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import type { HostFile } from '../../bundle/host-files.ts'
import { tmpfilesPaths } from '../../bundle/tmpfiles.ts'
import { ForerunError } from '../../errors.ts'
import { dropInPath, tmpfilesPath, unitFilePath, unitName, unitPath } from '../../host/paths.ts'
import type { DeploymentInfo } from '../../store/deployment.ts'
import type { Change } from '../../transaction/change.ts'
import {
  contentSha256,
  type FileContent,
  isPresent,
  makeDirectory,
  makeSymlink,
  rename,
  writeFile,
} from '../../transaction/files.ts'
import { createTmpfiles, enable, mount, reload, start } from '../../transaction/units.ts'
import { displayPath } from '../../tree/entry.ts'
import { resolvePath } from '../../tree/resolve.ts'
import type { Context } from '../context.ts'
import type { CheckoutPlan } from './checkout-plan.ts'
import type { InstallableImage } from './installable-image.ts'

/** All that is decided of an installation, before the host is touched. */
export interface InstallationPlan {
  readonly name: string
  readonly bundle: Bundle
  readonly image: InstallableImage
  readonly info: DeploymentInfo
  /** undefined where there is nothing to check out. */
  readonly checkout: CheckoutPlan | undefined
  /** Those that are to be made, in order: directories before what is in them. */
  readonly hostFiles: readonly PlannedFile[]
}

type PlannedFile =
  | {
      readonly kind: 'directory'
      readonly path: string
      readonly mode: number
      readonly uid: number
      readonly gid: number
    }
  | {
      readonly kind: 'symlink'
      readonly path: string
      readonly uid: number
      readonly gid: number
      readonly target: string
      readonly sha256: string
    }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly uid: number
      readonly gid: number
      readonly content: FileContent
      readonly sha256: string
    }

/** Looks at the host for what is there already: it stays as it is, and a file is told of. */
export function planInstallation(
  bundle: Bundle,
  image: InstallableImage,
  options: { name: string; runtime: string; checkout: CheckoutPlan | undefined; context: Context },
): InstallationPlan {
  const { name, runtime, checkout, context } = options
  const hostFiles = plannedFiles(bundle, image, context)
  const files = hostFiles.filter((file) => file.kind !== 'directory')
  const directories = hostFiles.filter(({ kind }) => kind === 'directory').map(({ path }) => path)
  const info: DeploymentInfo = {
    image: image.name,
    revision: image.id,
    created: Math.floor(Date.now() / 1000),
    values: Object.fromEntries(bundle.values),
    'has-container-service': bundle.service !== undefined,
    'installed-files': files.map(({ path }) => path),
    'installed-files-checksum': Object.fromEntries(files.map(({ path, sha256 }) => [path, sha256])),
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
      directories,
      'tmpfiles-made': absentPaths(tmpfilesPaths(bundle.service?.tmpfiles ?? '')),
      checkout: checkout?.method,
      overlay: overlayInfo(bundle),
    },
  }
  return { name, bundle, image, info, checkout, hostFiles }
}

/** @param options.staged the complete deployment, waiting beside its place. */
export function installChanges(
  plan: InstallationPlan,
  options: { staged: string; start: boolean; context: Context },
): Change[] {
  const { paths } = options.context
  const { name, bundle } = plan
  const deployment = join(paths.containers, `${name}.0`)
  const files = [
    rename(options.staged, deployment),
    makeSymlink(join(paths.containers, name), `${name}.0`, { uid: 0, gid: 0 }),
    ...plan.hostFiles.map(hostFileChange),
  ]
  if (bundle.service === undefined) return files
  const unit = unitName(name)
  const dropIn = dropInPath(paths, name)
  const tmpfiles = tmpfilesPath(paths, name)
  const text = (path: string, content: string): Change =>
    writeFile(path, { bytes: Buffer.from(content) }, { mode: 0o644, uid: 0, gid: 0 })
  const container = { name, runtime: plan.info.runtime }
  const tmpfilesCopy = join(deployment, `tmpfiles-${name}.conf`)
  const { mountUnit } = bundle.service
  const hasTmpfiles = bundle.service.tmpfiles !== undefined
  return [
    reload('undone'),
    ...files,
    makeDirectory(dirname(dropIn), rootDirectory),
    text(dropIn, bundle.service.dropIn),
    // By the deployment's own copy: what is below /etc may be used by a boot before its use is in the journal.
    ...(hasTmpfiles ? [createTmpfiles(tmpfilesCopy, plan.info.forerun['tmpfiles-made'])] : []),
    ...(bundle.service.tmpfiles === undefined ? [] : [text(tmpfiles, bundle.service.tmpfiles)]),
    text(unitPath(paths, name), bundle.service.unit),
    ...(mountUnit === undefined ? [] : [text(unitFilePath(paths, mountUnit.name), mountUnit.text)]),
    reload('applied'),
    ...(mountUnit === undefined ? [] : [mount(mountUnit.name)]),
    enable(unit, container),
    reload('applied'),
    ...(options.start ? [start(unit, container)] : []),
  ]
}

function overlayInfo({ service }: Bundle): DeploymentInfo['forerun']['overlay'] {
  const unit = service?.mountUnit
  return unit && { 'mount-unit': unit.name, kind: unit.kind, 'keep-changes': unit.keepChanges }
}

const rootDirectory = { mode: 0o755, uid: 0, gid: 0 }

function plannedFiles(bundle: Bundle, image: InstallableImage, context: Context): PlannedFile[] {
  const folders = bundle.service?.tmpfiles === undefined ? [] : missingParents([tmpfilesPath(context.paths, 'any')])
  const planned: PlannedFile[] = folders.map((path) => ({ kind: 'directory', path, ...rootDirectory }))
  const known = new Set(folders)
  for (const file of bundle.hostFiles) {
    const path = displayPath(file.path)
    refuseBlocked(path)
    for (const parent of missingParents([path])) {
      if (!known.has(parent)) planned.push({ kind: 'directory', path: parent, ...rootDirectory })
      known.add(parent)
    }
    known.add(path)
    if (!isPresent(path)) planned.push(plannedFile(file, path, image))
    else if (file.kind !== 'directory') context.emit({ type: 'notice', message: `File ${path} already exists` })
  }
  return planned
}

/** A host file whose folder is something else on this host: what is there is not ours to replace. */
function refuseBlocked(path: string): void {
  const blocking = parentsOf(path).find((parent) => isPresent(parent) && !isFolder(parent))
  if (blocking === undefined) return
  throw new ForerunError('host-file', `the image's file '${path}' cannot be made: '${blocking}' is not a folder`, {
    hint: `Move '${blocking}' away, or have the image put its file elsewhere.`,
  })
}

/** By following links, as writing does: /lib is one on most hosts. */
function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function plannedFile(file: HostFile, path: string, image: InstallableImage): PlannedFile {
  if (file.kind === 'directory') return { kind: file.kind, path, mode: file.mode, uid: file.uid, gid: file.gid }
  if (file.kind === 'symlink') {
    const target = displayPath(file.target)
    return { ...file, path, target, sha256: contentSha256({ bytes: Buffer.from(target) }) }
  }
  const content = file.rendered === undefined ? { copyOf: sourceOf(file.source, image) } : { bytes: file.rendered }
  return { ...file, path, content, sha256: contentSha256(content) }
}

function sourceOf(source: string, image: InstallableImage): string | Buffer {
  const node = resolvePath(image.tree, source)
  if (node?.kind !== 'file') throw new Error(`${source} was planned and is no file`)
  return image.pathOf(node)
}

function hostFileChange(file: PlannedFile): Change {
  if (file.kind === 'directory') return makeDirectory(file.path, file)
  if (file.kind === 'symlink') return makeSymlink(file.path, file.target, file)
  return writeFile(file.path, file.content, file)
}

/** Paths that are not there, with those of their parents that are not, parents first. */
function absentPaths(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap((path) => [...missingParents([path]), path]))].filter((path) => !isPresent(path))
}

function missingParents(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap(parentsOf))].filter((path) => !isPresent(path))
}

/** Without the root, the uppermost first. */
function parentsOf(path: string): string[] {
  const above: string[] = []
  for (let parent = dirname(path); parent !== '/' && parent !== '.'; parent = dirname(parent)) above.unshift(parent)
  return above
}
