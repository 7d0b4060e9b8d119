import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { announce, cached } from './cache.ts'
import { ensurePackages } from './packages.ts'
import { execute } from './process.ts'

/** What every host of the lab has: an embedded default with the container daemon that must not start first. */
const hostPackages = [
  'ca-certificates',
  'containerd',
  'dbus',
  'iproute2',
  'kmod',
  'procps',
  'runc',
  'systemd',
  'systemd-sysv',
]

/**
 * The folder of a Debian tree that a host can boot, from the cache. It serves many hosts at once: never write to it.
 *
 * @param options.packages beside those that every host has.
 */
export async function hostTree(options: { suite?: string; packages?: readonly string[] } = {}): Promise<string> {
  return await debianTree([...hostPackages, ...(options.packages ?? [])], { suite: options.suite ?? 'bookworm' })
}

/** The folder of a tree of Debian packages with what they need, from the cache. Never write to it. */
export async function debianTree(
  packages: readonly string[],
  options: { suite?: string; variant?: 'minbase' | 'extract' } = {},
): Promise<string> {
  const { suite = 'bookworm', variant = 'minbase' } = options
  const include = [...new Set(packages)].sort().join(',')
  const sources = await machineSources(suite)
  return await cached(`tree-${suite}`, { suite, variant, include, sources, recipe: 1 }, async (path) => {
    await ensurePackages(['mmdebstrap'])
    announce(`making a tree of Debian ${suite} with ${include}`)
    const scratch = await mkdtemp(join(tmpdir(), 'forerun-lab-sources-'))
    try {
      const mirrors = await writeSources(scratch, sources)
      await mkdir(path)
      await execute(
        [
          ...['mmdebstrap', '--quiet', '--mode=root', '--format=directory', `--variant=${variant}`],
          ...[`--include=${include}`, '--aptopt=Acquire::Check-Valid-Until "false"'],
          ...['--dpkgopt=path-exclude=/usr/share/man/*', '--dpkgopt=path-exclude=/usr/share/locale/*'],
          ...['--dpkgopt=path-exclude=/usr/share/doc/*', suite, path, ...mirrors],
        ],
        { timeout: 1_200_000 },
      )
      // The machine's name and its resolver are nothing that a host should have.
      for (const name of ['hostname', 'resolv.conf']) await rm(join(path, 'etc', name), { force: true })
    } finally {
      await rm(scratch, { recursive: true })
    }
  })
}

/** The machine's own apt sources for a suite, so that a mirror or a cache that it uses serves the lab too. */
async function machineSources(suite: string): Promise<{ name: string; text: string }[]> {
  const files = ['/etc/apt/sources.list']
  const folder = '/etc/apt/sources.list.d'
  if (existsSync(folder)) files.push(...(await readdir(folder)).sort().map((name) => join(folder, name)))
  const found: { name: string; text: string }[] = []
  for (const file of files) {
    if (!existsSync(file)) continue
    const text = await readFile(file, 'utf8')
    const kept = file.endsWith('.sources') ? keptStanzas(text, suite) : keptLines(text, suite)
    if (kept !== '') found.push({ name: file.endsWith('.sources') ? 'debian.sources' : 'debian.list', text: kept })
  }
  return found
}

function keptStanzas(text: string, suite: string): string {
  const stanzas = text.split(/\n\s*\n/).filter((stanza) => {
    const suites = /^Suites:(.*)$/m.exec(stanza)?.[1]?.trim().split(/\s+/) ?? []
    return suites.some((each) => isOfSuite(each, suite))
  })
  return stanzas.map((stanza) => `${stanza.trim()}\n`).join('\n')
}

function keptLines(text: string, suite: string): string {
  const lines = text.split('\n').filter((line) => {
    const words = line
      .replace(/\[.*?\]/, '')
      .trim()
      .split(/\s+/)
    return words[0] === 'deb' && words[2] !== undefined && isOfSuite(words[2], suite)
  })
  return lines.map((line) => `${line}\n`).join('')
}

function isOfSuite(name: string, suite: string): boolean {
  return name === suite || name.startsWith(`${suite}-`)
}

/** Returns the words for mmdebstrap; none lets it use Debian's own mirror. */
async function writeSources(folder: string, sources: readonly { name: string; text: string }[]): Promise<string[]> {
  const paths = sources.map(({ name }, index) => join(folder, `${index}-${name}`))
  for (const [index, { text }] of sources.entries()) await writeFile(paths[index] ?? '', text)
  return paths
}
