import type { ByteString, LayerEntry } from '../tree/entry.ts'

/** Whether an extended attribute is not the image's: labels and overlay markers belong to the host that it was built on. */
export function isOfBuildHost(attribute: ByteString): boolean {
  return ofBuildHost.test(attribute)
}

const ofBuildHost = /^(?:security\.selinux|system\.nfs4_acl|(?:trusted|user)\.overlay\..*)$/s

/**
 * Whether an inode of a kind can have an extended attribute on some file system of Linux (xattr(7)): the name begins with one
 * of four namespaces, `system` has access control lists alone, and `user` is for files and directories. macOS and others have
 * names without a namespace (`com.apple.provenance`), which their tar writes into layers.
 */
export function isAttributeOf(kind: LayerEntry['kind'], attribute: ByteString): boolean {
  const [, namespace] = /^(user|trusted|security|system)\../s.exec(attribute) ?? []
  switch (namespace) {
    case undefined:
      return false
    case 'system':
      return attribute === 'system.posix_acl_access' || attribute === 'system.posix_acl_default'
    case 'user':
      // A hard link's own attributes are those of its file, and are not used.
      return kind === 'file' || kind === 'directory' || kind === 'hardlink'
    default:
      return true
  }
}

/** What the host's kernel puts on files by itself. */
export function isOfHost(attribute: string): boolean {
  return /^(?:security\.(?:selinux|ima|evm)|system\..*|(?:trusted|user)\.overlay\..*)$/.test(attribute)
}
