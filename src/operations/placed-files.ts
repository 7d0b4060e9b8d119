import { dirname } from 'node:path'
import { dropInPath, type HostPaths, tmpfilesPath, unitFilePath, unitPath } from '../host/paths.ts'
import type { PlacedFile, PlacedRole } from '../host/placed-file.ts'
import type { Deployment } from '../store/deployment.ts'
import { digestOfContent } from '../transaction/files.ts'

/** As `HostView.checksum` tells it of what is placed: undefined for a directory. */
export function placedChecksum(file: PlacedFile): string | undefined {
  if (file.kind === 'directory') return undefined
  return file.kind === 'file' ? file.digest : digestOfContent({ bytes: Buffer.from(file.target) })
}

/** What a deployment placed on the host, directories before what is in them. */
export function placedFiles(
  { name, info }: Pick<Deployment, 'name' | 'info'>,
  paths: HostPaths,
): readonly PlacedFile[] {
  const { files, directories = [], overlay } = info.forerun
  if (files !== undefined) return files
  // Of a forerun that kept no such list: its places were always these. Modes were not kept, and are not needed to remove.
  const file = (role: PlacedRole, path: string, digest = ''): PlacedFile => ({
    role,
    path,
    kind: 'file',
    ...{ mode: 0o644, uid: 0, gid: 0, digest },
  })
  const directory = (role: PlacedRole, path: string): PlacedFile => ({
    role,
    path,
    kind: 'directory',
    ...{ mode: 0o755, uid: 0, gid: 0 },
  })
  const host = [
    ...directories.map((path) => directory('host', path)),
    ...info['installed-files'].map((path) => file('host', path, info['installed-files-checksum'][path])),
  ]
  if (!info['has-container-service']) return host
  return [
    ...host,
    directory('drop-in', dirname(dropInPath(paths, name))),
    file('drop-in', dropInPath(paths, name)),
    file('tmpfiles', tmpfilesPath(paths, name)),
    file('unit', unitPath(paths, name)),
    ...(overlay === undefined ? [] : [file('mount', unitFilePath(paths, overlay['mount-unit']))]),
  ]
}
