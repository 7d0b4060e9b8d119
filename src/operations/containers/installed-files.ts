import { lstatSync, readlinkSync } from 'node:fs'
import type { DeploymentInfo } from '../../store/deployment.ts'
import { contentSha256, fileSha256, isPresent } from '../../transaction/files.ts'

/**
 * What `info` keeps of an installed file: the SHA-256 of a regular file's content or of a symbolic link's target, in
 * hexadecimal; undefined for anything else.
 */
export function installedChecksum(path: string): string | undefined {
  return lstatSync(path).isSymbolicLink() ? contentSha256({ bytes: Buffer.from(readlinkSync(path)) }) : fileSha256(path)
}

/** The installed files that are still there, apart by whether they are as they were installed. */
export function sortInstalledFiles(info: DeploymentInfo): { modified: string[]; unmodified: string[] } {
  const present = info['installed-files'].filter(isPresent)
  const isModified = (path: string): boolean => installedChecksum(path) !== info['installed-files-checksum'][path]
  return { modified: present.filter(isModified), unmodified: present.filter((path) => !isModified(path)) }
}
