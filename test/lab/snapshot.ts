import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { extendedAttributes } from '../../src/host/system-calls.ts'

/** What lies in a tree: path from its root -> one line with all that can be told apart. Sorted by path. */
export type Snapshot = ReadonlyMap<string, string>

export interface SnapshotOptions {
  /** Absolute paths inside the tree to look beneath. Default everything. */
  readonly paths?: readonly string[]
  /** Further absolute paths to leave out, with what is beneath. */
  readonly except?: readonly string[]
  /** Tell modification times too, in nanoseconds of the file itself. Default false. */
  readonly times?: boolean
}

/** Reads a tree. A line holds type, mode, owner, links, size, SHA-256, link target, device and extended attributes. */
export function snapshot(root: string, options: SnapshotOptions = {}): Snapshot {
  const { paths = ['/'], except = [], times = false } = options
  const excluded = new Set([...volatile, ...except])
  const lines = new Map<string, string>()
  const visit = (path: string) => {
    if (excluded.has(path)) return
    const inside = join(root, path)
    const stats = lstatSync(inside)
    lines.set(path, describe(inside, stats, { times }))
    if (!stats.isDirectory()) return
    for (const name of readdirSync(inside).sort()) visit(join(path, name))
  }
  for (const path of paths) visit(path)
  return new Map([...lines].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What was added, removed or changed, a line each: `+ /etc/x file 644 …`, `- …`, or `~ PATH: BEFORE -> AFTER`. Empty when equal. */
export function differences(before: Snapshot, after: Snapshot): string[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort()
  return paths.flatMap((path) => {
    const [old, now] = [before.get(path), after.get(path)]
    if (old === now) return []
    if (old === undefined) return [`+ ${path} ${now}`]
    if (now === undefined) return [`- ${path} ${old}`]
    return [`~ ${path}: ${old} -> ${now}`]
  })
}

/** What a running host writes by itself, whether or not anything is installed. */
const volatile = [
  '/dev',
  '/proc',
  '/run',
  '/sys',
  '/tmp',
  '/etc/.pwd.lock',
  '/etc/.updated',
  '/etc/machine-id',
  '/etc/resolv.conf',
  '/var/.updated',
  '/var/cache/ldconfig',
  '/var/lib/containerd',
  '/var/lib/systemd',
  '/var/log',
  '/var/tmp',
]

function describe(path: string, stats: Stats, { times }: { times: boolean }): string {
  const words = [typeOf(stats), (stats.mode & 0o7777).toString(8), `${stats.uid}:${stats.gid}`]
  if (stats.isFile()) words.push(`links=${stats.nlink}`, `size=${stats.size}`, contentOf(path, stats))
  if (stats.isSymbolicLink()) words.push(`-> ${readlinkSync(path)}`)
  if (stats.isCharacterDevice() || stats.isBlockDevice()) words.push(`device=${stats.rdev}`)
  for (const [name, value] of [...extendedAttributes(Buffer.from(path))].sort()) {
    words.push(`${name}=${value.toString('base64')}`)
  }
  if (times) words.push(`mtime=${lstatSync(path, { bigint: true }).mtimeNs}`)
  return words.join(' ')
}

function typeOf(stats: Stats): string {
  if (stats.isDirectory()) return 'directory'
  if (stats.isFile()) return 'file'
  if (stats.isSymbolicLink()) return 'link'
  if (stats.isFIFO()) return 'pipe'
  if (stats.isSocket()) return 'socket'
  return stats.isBlockDevice() ? 'block-device' : 'character-device'
}

/** Most of a tree never changes; reading it once a process makes a second snapshot quick. The status time moves with every write. */
const known = new Map<string, string>()

function contentOf(path: string, stats: Stats): string {
  const key = `${path} ${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`
  const content = known.get(key) ?? createHash('sha256').update(readFileSync(path)).digest('hex')
  known.set(key, content)
  return content
}
