import { createHash } from 'node:crypto'
import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { extendedAttributes } from '../../src/host/system-calls.ts'
import { displayPath, pathBytes } from '../../src/tree/entry.ts'

/** All that can be told apart of one name of a tree; names and targets are byte strings, one character per byte. */
export interface TreeName {
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device'
  /** With setuid, setgid and sticky, in octal. Of a symbolic link, which has none, `777`. */
  readonly mode: string
  readonly owner: string
  /** Nanoseconds since 1970. */
  readonly mtime: bigint
  /** `NAME=HEX`, sorted. */
  readonly xattrs: readonly string[]
  /** Of a file: its size and SHA-256; of a link: its target; of a device: its number. */
  readonly content: string
  /** All names of the inode in this tree when it has several, sorted. */
  readonly names: string
}

/** Path from the tree's root, which is the empty path -> what is there. */
export type WholeTree = ReadonlyMap<string, TreeName>

/** Reads a whole tree, as deep as it may be. Follows no link. */
export function readTree(root: string): WholeTree {
  const tree = new Map<string, Draft>()
  const inodes = new Map<bigint, string[]>()
  const visit = (place: string, path: string) => {
    const status = lstatSync(pathBytes(place), { bigint: true })
    const type = typeOf(status)
    tree.set(path, { ...describe(place, type, status), ino: status.ino })
    if (type === 'directory') {
      using folder = shortened(place)
      const names = readdirSync(pathBytes(folder.place), { encoding: 'latin1' })
      for (const name of names.sort()) visit(`${folder.place}/${name}`, path === '' ? name : `${path}/${name}`)
    } else if (status.nlink > 1n) inodes.set(status.ino, [...(inodes.get(status.ino) ?? []), path])
  }
  visit(Buffer.from(root).toString('latin1'), '')
  return new Map(
    [...tree].map(([path, { ino, ...name }]) => {
      const names = inodes.get(ino) ?? []
      return [path, { ...name, names: names.length > 1 ? names.sort().map(displayPath).join(' = ') : '' }]
    }),
  )
}

/**
 * What differs, a line each; empty for equal trees.
 *
 * @param options.implied directories of which only the existence is compared: no layer says what they are like.
 */
export function treeDifferences(
  ours: WholeTree,
  theirs: WholeTree,
  { implied = new Set() }: { implied?: ReadonlySet<string> } = {},
): string[] {
  const paths = [...new Set([...ours.keys(), ...theirs.keys()])].sort()
  return paths.flatMap((path) => {
    const [one, other] = [ours.get(path), theirs.get(path)]
    const shown = `'${displayPath(path)}'`
    if (one === undefined) return [`${shown} is missing: ${other?.type}`]
    if (other === undefined) return [`${shown} is too much: ${one.type}`]
    if (implied.has(path) && one.type === 'directory' && other.type === 'directory') return []
    return fields.flatMap((field) => {
      const [a, b] = [String(one[field]), String(other[field])]
      return a === b ? [] : [`${shown} (${one.type}): ${field} is ${a}, not ${b}`]
    })
  })
}

const fields = ['type', 'mode', 'owner', 'mtime', 'xattrs', 'content', 'names'] as const

type Draft = Omit<TreeName, 'names'> & { readonly ino: bigint }

function describe(place: string, type: TreeName['type'], status: BigIntStats): Omit<TreeName, 'names'> {
  return {
    type,
    mode: (status.mode & 0o7777n).toString(8),
    owner: `${status.uid}:${status.gid}`,
    mtime: status.mtimeNs,
    xattrs: [...extendedAttributes(pathBytes(place))]
      .map(([name, value]) => `${displayPath(name)}=${value.toString('hex')}`)
      .sort(),
    content: contentOf(place, type, status),
  }
}

function contentOf(place: string, type: TreeName['type'], status: BigIntStats): string {
  if (type === 'file') return `${status.size} bytes ${fileDigest(place)}`
  if (type === 'symlink') return readlinkSync(pathBytes(place), 'latin1')
  return type.endsWith('device') ? `${status.rdev}` : ''
}

const piece = Buffer.alloc(1024 * 1024)

function fileDigest(place: string): string {
  const fd = openSync(pathBytes(place), 'r')
  try {
    const hash = createHash('sha256')
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece)) {
      hash.update(piece.subarray(0, length))
    }
    return hash.digest('hex')
  } finally {
    closeSync(fd)
  }
}

function typeOf(status: BigIntStats): TreeName['type'] {
  if (status.isDirectory()) return 'directory'
  if (status.isFile()) return 'file'
  if (status.isSymbolicLink()) return 'symlink'
  if (status.isFIFO()) return 'fifo'
  if (status.isSocket()) return 'socket'
  return status.isBlockDevice() ? 'block-device' : 'character-device'
}

/** A path that is too long for a system call, by way of the open folder. */
function shortened(place: string): { place: string } & Disposable {
  if (place.length < 3000) return { place, [Symbol.dispose]: () => {} }
  const fd = openSync(pathBytes(place), 'r')
  return { place: `/proc/self/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) }
}
