import { hash } from 'node:crypto'
import { join } from 'node:path'
import { hasZeroBlocks } from '../host/content-digest.ts'
import { namesIn } from '../host/folder-entries.ts'
import type { Metadata } from '../tree/entry.ts'
import type { ObjectId } from '../tree/node.ts'

/**
 * The name of a regular file in the store: SHA-256 over its size, owner, mode, modification time, extended attributes
 * and the digest of its content, so that one inode serves every checkout that needs a file just like it. It tells how its
 * content is hashed: before files with zero blocks had names of their own, all was.
 *
 * @param content as `contentDigest` tells it; SHA-256 in hexadecimal, of what an earlier version stored.
 */
export function objectId(metadata: Metadata, size: number, content: string): ObjectId {
  const { mode, uid, gid, mtime, xattrs } = metadata
  let text = `forerun object 1\n${mode} ${uid} ${gid} ${mtime.seconds} ${mtime.nanoseconds} ${size} ${content}\n`
  for (const name of [...xattrs.keys()].sort()) {
    const value = xattrs.get(name) ?? Buffer.alloc(0)
    text += `${name.length} ${value.length} ${name} ${value.toString('latin1')}`
  }
  // One character is one byte.
  const id = hash('sha256', xattrs.size === 0 ? text : Buffer.from(text, 'latin1'))
  return hasZeroBlocks(content) ? `${id}${holesSuffix}` : id
}

/** Whether the content of an object has zero blocks, by its name. */
export function isHashedWithHoles(id: ObjectId): boolean {
  return id.endsWith(holesSuffix)
}

const holesSuffix = '-holes'

/** Where an object lies; 256 folders by the first two digits. */
export function objectPath(store: string, id: ObjectId): string {
  return `${store}/objects/${id.slice(0, 2)}/${id.slice(2)}`
}

export function objectsFolder(store: string): string {
  return join(store, 'objects')
}

/** Whether objects are there; for many of them. The names of a folder are read once. */
export function objectList(store: string): (id: ObjectId) => boolean {
  const folders = new Map<string, ReadonlySet<string>>()
  return (id) => {
    const folder = id.slice(0, 2)
    let names = folders.get(folder)
    if (names === undefined) {
      names = new Set(namesIn(join(objectsFolder(store), folder)))
      folders.set(folder, names)
    }
    return names.has(id.slice(2))
  }
}
