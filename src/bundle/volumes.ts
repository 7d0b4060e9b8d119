import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import { byteString, displayPath } from '../tree/entry.ts'
import type { ImageFiles } from './image-files.ts'
import type { Mount } from './runtime-schema.ts'

/** A folder of the host that is mounted in the container, and filled from the image when it is new. */
export interface Volume {
  /** Absolute path in the container, without symbolic links of the image. */
  readonly destination: string
  /** Absolute path on the host. */
  readonly source: string
  /** Of the folder in the image; root's where the image has none. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/**
 * The volumes that an image declares (OCI image specification, `Config.Volumes`), in the order of their paths. They lie
 * flat, a folder each: one below another could be replaced by a symbolic link by the container that writes to the upper
 * one, and the runtime, which follows it as root, would mount another folder of the host.
 *
 * @param folder the folder of the host that holds them.
 * @throws ForerunError `configuration` for a path that no folder can be mounted on.
 */
export function imageVolumes(
  paths: readonly string[],
  files: ImageFiles,
  folder: string,
): { volumes: Volume[]; notices: string[] } {
  const volumes = new Map<string, Volume>()
  const notices: string[] = []
  for (const path of [...new Set(paths.map((each) => posix.resolve('/', each)))].sort()) {
    const destination = imagePath(files, path)
    if (destination === undefined) throw refused(path, 'its symbolic links lead nowhere')
    const owner = kernelFolders.find((each) => destination === each || destination.startsWith(`${each}/`))
    if (destination === '/' || owner !== undefined) {
      notices.push(`The volume '${path}' of the image is left out: ${owner ?? 'it'} belongs to the container itself`)
    } else if (!volumes.has(destination)) {
      const source = posix.join(folder, volumeFolderName(path))
      volumes.set(destination, { destination, source, ...folderInImage(path, destination, files) })
    }
  }
  return { volumes: [...volumes.values()], notices }
}

/**
 * The name of the one folder that holds a volume: `/var/lib/my-db` is `var+lib+my-db`. Undone by reading `+` as `/` and
 * then each `%XX` as the character of that number, so two paths never have one name.
 *
 * @param path absolute, without `.` and `..`.
 */
export function volumeFolderName(path: string): string {
  const parts = path.split('/').filter((part) => part !== '')
  const name = parts.map((part) => part.replace(special, escaped)).join('+')
  const visible = name.replace(/^\./, '%2e')
  if (Buffer.byteLength(visible) > longestName) throw refused(path, 'no folder of the host can have so long a name')
  return visible
}

/** Nothing of a volume counts that may serve a user of the host: no set-uid file, and no device. */
export function volumeMount({ destination, source }: Volume): Mount {
  return { destination, type: 'bind', source, options: ['rbind', 'rw', 'nosuid', 'nodev'] }
}

/** Where a path leads in an image; undefined when its symbolic links have no end, or lead to a name that is no text. */
export function imagePath(files: ImageFiles, path: string): string | undefined {
  const real = files.realPath(byteString(path))
  const text = real === undefined ? undefined : displayPath(real)
  return text === undefined || byteString(text) !== real ? undefined : text
}

/** What runtimes mount there is the kernel's, and refused to be covered. Images for systemd declare `/sys/fs/cgroup`. */
const kernelFolders = ['/dev', '/proc', '/sys']

/** What would begin an escape or stand for a slash, and what configuration files would have to quote. */
const special = /[\s"'\\%+\p{Cc}]/gu

const longestName = 255

function escaped(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}

function folderInImage(
  path: string,
  destination: string,
  files: ImageFiles,
): { mode: number; uid: number; gid: number } {
  for (let above = destination; above !== '/'; above = posix.dirname(above)) {
    const found = files.stat(byteString(above))
    if (found === undefined) continue
    if (found.kind !== 'directory') throw refused(path, `the image has a file at '${above}'`)
    if (above === destination) return { mode: found.mode, uid: found.uid, gid: found.gid }
    break
  }
  return { mode: 0o755, uid: 0, gid: 0 }
}

function refused(path: string, reason: string): ForerunError {
  return new ForerunError('configuration', `The image's volume '${path}' cannot be mounted: ${reason}`, {
    hint: 'Have the image built anew with another path for this volume.',
  })
}
