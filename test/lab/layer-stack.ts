import { type Random, random } from './random.ts'
import type { TarFile } from './tar-encoder.ts'

/** Layers of an image, base first. */
export interface LayerStack {
  readonly layers: readonly StackLayer[]
}

export interface StackLayer {
  readonly files: readonly TarFile[]
  /** Zero blocks at the end of the archive. */
  readonly blocks: number
  readonly compression: (typeof compressions)[number]
}

export const compressions = ['none', 'gzip', 'gzip-members', 'gzip-zeros', 'zstd', 'zstd-frames'] as const

/**
 * Layers by chance, the same ones for a seed: all kinds of entries in all forms of archives, over and through one another.
 *
 * @param options.single one layer without whiteouts, for a reference that knows only archives.
 */
export function layerStack(seed: number, { single = false }: { single?: boolean } = {}): LayerStack {
  const chance = random(seed)
  const names: Names = new Map([['', { kind: 'directory' }]])
  const layers: StackLayer[] = []
  const count = single ? 1 : 1 + chance.below(5)
  for (let index = 0; index < count; index++) {
    const files = index === 0 && !single && chance.chance(0.5) ? mergedUsr(names, chance) : []
    const lower = new Map(names)
    const linked = new Set<string>()
    const earlier = [...layers.flatMap((layer) => layer.files), ...files].filter(({ kind }) => kind === 'file')
    const more = 2 + chance.below(14)
    for (let member = 0; member < more; member++)
      files.push(...someMember(chance, { names, lower, linked, earlier, single }))
    if (chance.chance(0.5)) files.sort((one, other) => Number(isWhiteout(other)) - Number(isWhiteout(one)))
    layers.push({
      files,
      blocks: chance.pick(single ? [2, 20] : [0, 1, 2, 2, 2, 20]),
      compression: chance.pick(compressions),
    })
  }
  return { layers }
}

/** Told by the name alone. */
export function isWhiteout({ path }: Pick<TarFile, 'path'>): boolean {
  return path.startsWith('.wh.', path.lastIndexOf('/') + 1)
}

/** What the archive so far leaves, by resolved path; a rough model, which only keeps most of what is made meaningful. */
type Names = Map<string, { readonly kind: TarFile['kind']; readonly target?: string }>

interface Surroundings {
  readonly names: Names
  /** As the layers below left them. */
  readonly lower: Names
  /** Targets of hard links of this layer, which it must not remove then. */
  readonly linked: Set<string>
  /** Files of the layers before, of which there may be another one just like it. */
  readonly earlier: readonly TarFile[]
  readonly single: boolean
}

function mergedUsr(names: Names, chance: Random): TarFile[] {
  const folder = (path: string) => enter(names, { ...plainFile(chance, path), kind: 'directory', mode: 0o755 })
  const link = (path: string, target: string) =>
    enter(names, { ...plainFile(chance, path), kind: 'symlink', target, mode: 0o777 })
  const folders = ['usr/', 'usr/bin/', 'usr/lib/', 'etc/'].map(folder)
  return [...folders, link('bin', 'usr/bin'), link('lib', '/usr/lib'), link('sbin', './bin'), link('up', '../../etc')]
}

function someMember(chance: Random, around: Surroundings): TarFile[] {
  const { names, single } = around
  if (!single && chance.chance(0.18)) return someWhiteout(chance, around)
  if (!single && chance.chance(0.03)) return [enter(names, { ...someFile(chance, './'), kind: 'directory' })]
  const path = somePath(chance, around)
  // umoci makes no path that is too long for a system call.
  if (placeOf(names, path).length > 3500) return []
  const file = { ...someFile(chance, path), kind: chance.pick(kinds) }
  const replaced = names.get(placeOf(names, path))
  if (single && (!isForTar(file, replaced) || cleaned(path) !== path || isBelowNoFolder(names, path))) return []
  if (file.kind === 'hardlink') return someHardLink(chance, file, around)
  return [enter(names, completed(chance, file, around))]
}

/**
 * GNU tar does not remove a folder for anything else, makes links last, so that nothing goes through them, and gives
 * a folder the setgid bit of another.
 */
function isForTar(file: TarFile, replaced: { kind: TarFile['kind'] } | undefined): boolean {
  if (file.kind === 'directory') return replaced === undefined && (file.mode & 0o2000) === 0
  return replaced === undefined || (replaced.kind === 'file' && file.kind === 'file')
}

function isBelowNoFolder(names: Names, path: string): boolean {
  return [...names].some(([name, { kind }]) => kind !== 'directory' && path.startsWith(`${name}/`))
}

/** Chances by how often they stand here. */
const kinds: readonly TarFile['kind'][] = [
  ...(['file', 'file', 'file', 'file', 'directory', 'directory', 'directory', 'directory'] as const),
  ...(['symlink', 'symlink', 'hardlink', 'hardlink', 'fifo', 'character-device', 'block-device'] as const),
]

const parts = [
  'a',
  'b',
  'c',
  'd',
  'e',
  'bin',
  'lib',
  'usr',
  'etc',
  '.h',
  'wh.x',
  ' ',
  'x\ny',
  '\xff\xfe',
  'gr\xc3\xbcn',
]

function someName(chance: Random): string {
  if (!chance.chance(0.05)) return chance.pick(parts)
  return chance.pick(['n'.repeat(255), '\xc3\xa4'.repeat(127), 'm'.repeat(100), 'l'.repeat(101), '-', '\\', '"\''])
}

/** Below a folder, or a link to one, that there is; sometimes over a name, or below a folder that no entry describes. */
function somePath(chance: Random, { names, single }: Surroundings): string {
  const known = [...names].filter(([path]) => path !== '')
  if (known.length > 0 && chance.chance(0.2)) return chance.pick(known)[0]
  const folders = [...names].filter(([path, { kind }]) => {
    if (kind === 'symlink') return !single && names.get(resolved(names, path))?.kind === 'directory'
    return kind === 'directory' || (!single && chance.chance(0.01))
  })
  let folder = chance.pick(folders)[0]
  while (folder.length < 3000 && chance.chance(0.12)) folder = joined(folder, someName(chance))
  if (chance.chance(0.01)) folder = joined(folder, Array.from({ length: 9 }, () => 'deep'.repeat(60)).join('/'))
  return joined(folder, someName(chance))
}

/** In the many ways in which archives spell one path. */
function spelled(chance: Random, path: string, { single }: { single: boolean }): string {
  const slash = path.indexOf('/')
  const ways = [path, path, path, `./${path}`, `/${path}`, ...(slash > 0 ? [path.replace('/', '//')] : [])]
  if (!single) ways.push(`a/../${path}`, `../${path}`, ...(slash > 0 ? [path.replace('/', '/./')] : []))
  return chance.pick(ways)
}

function someWhiteout(chance: Random, { names, lower, linked }: Surroundings): TarFile[] {
  const file = {
    ...someFile(chance, ''),
    xattrs: [],
    kind: chance.pick(['file', 'file', 'file', 'directory'] as const),
  }
  const inFolders = [...lower].filter(([path, { kind }]) => kind !== 'directory' || path !== '')
  if (chance.chance(0.25) || inFolders.length === 0) {
    const folder = chance.pick([...lower].filter(([, { kind }]) => kind === 'directory'))[0]
    const inside = (name: string) => folder === '' || name.startsWith(`${folder}/`)
    if ([...linked].some(inside)) return []
    for (const name of [...names.keys()]) if (name !== '' && inside(name) && lower.has(name)) names.delete(name)
    return [{ ...file, path: joined(folder, '.wh..wh..opq') }]
  }
  const path = chance.chance(0.9) ? chance.pick(inFolders)[0] : joined(chance.pick(inFolders)[0], someName(chance))
  const slash = path.lastIndexOf('/')
  // umoci refuses a whiteout that links lead to without end, where there is nothing to remove.
  if ([names, lower].some((some) => isEndless(some, path.slice(0, Math.max(slash, 0))))) return []
  // A name of the longest kind has no room for a prefix.
  const name = path.slice(slash + 1).slice(0, 251)
  if ([...linked].some((target) => target === path || target.startsWith(`${path}/`))) return []
  remove(names, path)
  const marker = chance.chance(0.03) ? '.wh..wh.plnk' : `.wh.${name}`
  return [{ ...file, path: spelled(chance, joined(path.slice(0, Math.max(slash, 0)), marker), { single: false }) }]
}

function someHardLink(chance: Random, file: TarFile, around: Surroundings): TarFile[] {
  const { names, linked } = around
  const place = placeOf(names, file.path)
  const targets = [...names].filter(([path, { kind }]) => kind !== 'directory' && path !== place)
  if (targets.length === 0) return []
  const target = chance.pick(targets)[0]
  // Over the folder that holds its target, or what leads to it, it would end the image.
  if (target.startsWith(`${place}/`) || names.get(place)?.kind === 'symlink') return []
  linked.add(target)
  const path = spelled(chance, file.path, around)
  return [enter(names, { ...file, path, xattrs: [], target: spelled(chance, target, around) })]
}

function completed(chance: Random, file: TarFile, around: Surroundings): TarFile {
  const path = spelled(chance, file.path, around)
  switch (file.kind) {
    case 'file':
      if (around.earlier.length > 0 && chance.chance(0.1)) return { ...chance.pick(around.earlier), path }
      return fitting({ ...file, ...someContent(chance, around), path, xattrs: attributes(chance, 'file') })
    case 'directory':
      return { ...file, path: chance.chance(0.7) ? `${path}/` : path, xattrs: attributes(chance, 'directory') }
    case 'symlink':
      return { ...file, path, target: someTarget(chance, around), xattrs: attributes(chance, 'other') }
    case 'fifo':
      return { ...file, path, xattrs: attributes(chance, 'other') }
    default:
      return { ...file, path, device: [chance.below(0xfff), chance.below(0xfffff)] }
  }
}

/** GNU's older form of sparse files goes with its own headers only. */
function fitting(file: TarFile): TarFile {
  if (file.sparse !== 'gnu') return file
  const mtime = { seconds: file.mtime.seconds, nanoseconds: 0 }
  return { ...file, mtime, xattrs: [], format: 'gnu', globally: false }
}

function someTarget(chance: Random, { names }: Surroundings): string {
  const known = chance.pick([...names.keys()])
  const ways = [known || '.', `/${known}`, `../${known}`, `../../../../../${known}`, someName(chance), 't'.repeat(180)]
  return chance.pick(ways)
}

function someContent(chance: Random, { single }: { single: boolean }): Pick<TarFile, 'content' | 'map' | 'sparse'> {
  if (chance.chance(0.03)) return { content: chance.bytes(140_000) }
  const content = chance.bytes(chance.pick([0, 1, 100, 511, 512, 513, 3000]))
  return chance.chance(0.2) ? someSparse(chance, { single }) : { content }
}

/** GNU tar stores whole blocks but for the end of a file, and reads no others. */
function someSparse(chance: Random, { single }: { single: boolean }): Pick<TarFile, 'content' | 'map' | 'sparse'> {
  const pieces = chance.pick([0, 1, 2, 4, 5, 25, 30])
  const map: [number, number][] = []
  let end = 0
  for (let piece = 0; piece < pieces; piece++) {
    const offset = end + chance.below(3) * 512 * chance.below(20)
    const length = single && piece < pieces - 1 ? 512 * (1 + chance.below(2)) : 1 + chance.below(700)
    map.push([offset, length])
    end = offset + length
  }
  const content = Buffer.alloc(end + chance.pick([0, 512, 200_000]))
  for (const [offset, length] of map) chance.bytes(length).copy(content, offset)
  // As writers state the size of a file that ends in a hole.
  if (content.length > end || pieces === 0) map.push([content.length, 0])
  return { content, map, sparse: chance.pick(['gnu', '0.0', '0.1', '1.0'] as const) }
}

function attributes(chance: Random, kind: 'file' | 'directory' | 'other'): [string, Buffer][] {
  if (!chance.chance(0.2)) return []
  const found: [string, Buffer][] = [['trusted.binary', chance.bytes(1 + chance.below(40))]]
  if (kind === 'other') return found
  if (chance.chance(0.5)) found.push(['user.text\xff', Buffer.from('a=b\n\0c')])
  if (kind === 'file' && chance.chance(0.5)) found.push(['security.capability', someCapability(chance)])
  return found
}

/** As Linux stores it: revision 2, effective, one permitted capability. */
function someCapability(chance: Random): Buffer {
  const value = Buffer.alloc(20)
  value.writeUInt32LE(0x02000001, 0)
  value.writeUInt32LE(1 << chance.below(30), 4)
  return value
}

function someFile(chance: Random, path: string): TarFile {
  return {
    kind: 'file',
    path,
    mode: chance.pick([0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o7777, 0, 0o400, chance.below(0o10000)]),
    uid: chance.pick([0, 0, 0, 1000, 65_534, 0o7777777, 0o10000000, 0xffff_fffe]),
    gid: chance.pick([0, 0, 0, 1000, 65_534, 2 ** 31, 0xffff_fffe]),
    mtime: {
      seconds: chance.pick([0, 1, 1_600_000_000, -1, -86_400, -2_000_000_000, 2 ** 32, 5_000_000_000]),
      nanoseconds: chance.pick([0, 0, 0, 1, 999_999_999, 123_456_789, 500_000_000]),
    },
    xattrs: [],
    format: chance.pick(['ustar', 'pax', 'gnu'] as const),
    globally: chance.chance(0.03),
  }
}

function plainFile(chance: Random, path: string): TarFile {
  return { ...someFile(chance, path), uid: 0, gid: 0, globally: false }
}

/** Notes what the entry leaves. */
function enter(names: Names, file: TarFile): TarFile {
  const place = placeOf(names, file.path)
  if (place === '') return file
  for (let slash = place.indexOf('/'); slash >= 0; slash = place.indexOf('/', slash + 1)) {
    const parent = place.slice(0, slash)
    if (!names.has(parent)) names.set(parent, { kind: 'directory' })
  }
  if (file.kind !== 'directory' || names.get(place)?.kind !== 'directory') remove(names, place)
  // A hard link to a symbolic link is that link.
  const linked = file.kind === 'hardlink' ? names.get(placeOf(names, file.target ?? '')) : undefined
  names.set(place, linked ?? { kind: file.kind, ...(file.target !== undefined && { target: file.target }) })
  return file
}

function remove(names: Names, path: string): void {
  const place = placeOf(names, path)
  for (const name of [...names.keys()]) if (name === place || name.startsWith(`${place}/`)) names.delete(name)
}

/** Where an entry of this path lands: links on the way are followed, one at its end is not. */
function placeOf(names: Names, path: string): string {
  const clean = cleaned(path)
  const slash = clean.lastIndexOf('/')
  if (slash < 0) return clean
  return joined(resolved(names, clean.slice(0, slash)), clean.slice(slash + 1))
}

function resolved(names: Names, path: string): string {
  return followed(names, path).place
}

function isEndless(names: Names, path: string): boolean {
  return followed(names, path).links > mostLinks
}

const mostLinks = 20

function followed(names: Names, path: string): { place: string; links: number } {
  let rest = cleaned(path).split('/')
  let place = ''
  let links = 0
  while (rest.length > 0) {
    const [part = '', ...others] = rest
    rest = others
    if (part === '' || part === '.') continue
    if (part === '..') {
      place = place.slice(0, Math.max(place.lastIndexOf('/'), 0))
      continue
    }
    const next = joined(place, part)
    const found = names.get(next)
    if (found?.kind !== 'symlink' || ++links > mostLinks) place = next
    else {
      if (found.target?.startsWith('/')) place = ''
      rest = [...(found.target ?? '').split('/'), ...rest]
    }
  }
  return { place, links }
}

function cleaned(path: string): string {
  const clean: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') clean.pop()
    else if (part !== '' && part !== '.') clean.push(part)
  }
  return clean.join('/')
}

function joined(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}
