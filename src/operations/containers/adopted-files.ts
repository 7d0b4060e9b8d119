import { lstatSync, realpathSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { parseTemplate, renderTemplate } from '../../bundle/template.ts'
import { ForerunError } from '../../errors.ts'
import { reachWithoutLinks } from '../../host/folder-without-links.ts'
import { readAtMost } from '../../host/read-at-most.ts'
import { largestText } from '../../image/text-limits.ts'
import type { AtomicDeployment } from '../../store/atomic-containers.ts'
import { hashFile } from '../../store/hash-file.ts'
import type { FileContent } from '../../transaction/change.ts'
import { digestOfContent, linkTarget } from '../../transaction/files.ts'
import { byteString } from '../../tree/entry.ts'
import type { PlannedFile } from './plan-files.ts'

/** What Project Atomic's tool put on the host for a deployment, beside unit and tmpfiles.d lines. */
export interface AdoptedHostFiles {
  readonly files: readonly PlannedFile[]
  /** Paths of files of which nobody can tell any more what was installed. */
  readonly unknown: readonly string[]
}

/**
 * The host files of a deployment with what was installed: that is the host's own file where it is as its checksum says, else what the
 * image has under /exports, rendered where it is a template. Without a checksum the image alone can tell. A package's files are
 * the package's.
 *
 * @param options.folder where the deployment is going to lie, which contents are copied from.
 */
export function adoptedHostFiles(deployment: AtomicDeployment, { folder }: { folder: string }): AdoptedHostFiles {
  const { info } = deployment
  const paths = info['rpm-installed'] === null ? info['installed-files'] : []
  const found = paths.map((path) => ({ path, file: installedFile(path, { deployment, folder }) }))
  return {
    files: found.flatMap(({ file }) => file ?? []),
    unknown: found.filter(({ file }) => file === undefined).map(({ path }) => path),
  }
}

interface Slot {
  readonly deployment: AtomicDeployment
  readonly folder: string
}

function installedFile(path: string, slot: Slot): PlannedFile | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false })
  const original = join('exports/hostfs', sourceOf(path, slot))
  const rootfs = join(realpathSync(slot.deployment.folder), 'rootfs')
  using reached = reachWithoutLinks(join(rootfs, original))
  const target = reached && linkTarget(reached.path)
  if (target !== undefined) return { role: 'host', path, kind: 'symlink', target, ...owner(status) }
  // An empty one stood for a file that had no checksum yet.
  const checksum = slot.deployment.info['installed-files-checksum'][path] || undefined
  const matches = (content: FileContent): boolean => checksum === undefined || plainDigest(content) === checksum
  if (checksum !== undefined && status?.isFile() && matches({ copyOf: path })) {
    return regularFile(path, status, { copyOf: path })
  }
  if (reached === undefined || !lstatSync(reached.path, { throwIfNoEntry: false })?.isFile()) return undefined
  const rendered = renderedOriginal(reached.path, { path, ...slot })
  if (rendered !== undefined) return matches(rendered) ? regularFile(path, status, rendered) : undefined
  if (!matches({ copyOf: reached.path })) return undefined
  const digest = digestOfContent({ copyOf: reached.path })
  // When it is copied the deployment lies in its new place.
  const content = { copyOf: join(slot.folder, 'rootfs', original) }
  return { role: 'host', path, kind: 'file', mode: modeOf(status), ...owner(status), digest, content }
}

/** The name in the image of a file that was renamed, itself or with a folder above it. */
function sourceOf(path: string, { deployment }: Slot): string {
  for (const [from, to] of Object.entries(deployment.info['rename-installed-files'])) {
    if (path === to || path.startsWith(`${to}/`)) return from + path.slice(to.length)
  }
  return path
}

/** undefined for what is no template. One that cannot be rendered any more is as it is, which its checksum will deny. */
function renderedOriginal(original: string, { path, deployment }: Slot & { path: string }): FileContent | undefined {
  const { info } = deployment
  const names = [path, sourceOf(path, { deployment, folder: deployment.folder })]
  if (!info['installed-files-template'].some((name) => names.includes(name))) return undefined
  const text = readAtMost(original, largestText).toString()
  try {
    const rendered = renderTemplate(parseTemplate(text, path), new Map(Object.entries(info.values)))
    return { bytes: Buffer.from(rendered) }
  } catch (error) {
    if (error instanceof ForerunError) return undefined
    throw error
  }
}

/** SHA-256 byte by byte, as that tool's checksums are. */
function plainDigest(content: FileContent): string {
  if ('bytes' in content) return digestOfContent(content)
  return hashFile({ path: byteString(content.copyOf.toString()), holes: false }).digest
}

function regularFile(path: string, status: Stats | undefined, content: FileContent): PlannedFile {
  const digest = digestOfContent(content)
  return { role: 'host', path, kind: 'file', mode: modeOf(status), ...owner(status), digest, content }
}

function modeOf(status: Stats | undefined): number {
  return status?.isFile() ? status.mode & 0o7777 : 0o644
}

function owner(status: Stats | undefined): { uid: number; gid: number } {
  return { uid: status?.uid ?? 0, gid: status?.gid ?? 0 }
}
