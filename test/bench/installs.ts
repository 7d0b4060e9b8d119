import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { benchFolder, type ContainerTools, containerTools } from '../lab/container-tools.ts'
import type { Compression } from '../lab/layer.ts'
import { ensurePackages } from '../lab/packages.ts'
import { execute } from '../lab/process.ts'
import { startRegistry } from '../lab/registry.ts'
import { countingProxy } from './counting-proxy.ts'
import type { Figures } from './figures.ts'
import { debianArchives, imageOf, largeFileArchives, tenBuilds } from './images.ts'
import { measure, median, medianRun, type Run } from './measure.ts'
import { type MemoryDisk, memoryDisk } from './memory-disk.ts'

export interface Installs {
  /** Of `program.ts`, bundled. */
  readonly program: readonly string[]
  readonly rounds: number
  /** For what was measured, a line each. */
  readonly report: (line: string) => void
}

/**
 * Pull and checkout of a real image against the peers and against the limit of writing, in turns, each on a disk that
 * was cleared: whole processes, the registry on loopback, everything in memory.
 */
export async function measureInstalls(bench: Installs): Promise<Figures> {
  await ensurePackages(['time', 'podman', 'skopeo', 'umoci'])
  const archives = await debianArchives()
  await using registry = await startRegistry()
  await using disk = await memoryDisk({ size: '7G' })
  // Beside Debian's own peers the newest ones that it has.
  await using newest = await containerTools({ bench: disk.path })
  const images: Partial<Record<Compression, string>> = {}
  for (const form of ['gzip', 'zstd'] as const) {
    images[form] = await registry.push(await imageOf(archives, imageLayers, form), `bench/${form}:1`)
  }
  const { gzip = '', zstd = '' } = images
  const folder = join(disk.path, 'ours')
  const [old, later] = [await versions((argv) => execute(argv)), await versions((argv) => newest.run(argv))]
  const contestants: Record<string, () => Promise<Run>> = {
    'forerun gzip': () => ours(bench, ['install', folder, gzip, 'one']),
    // For information: by default files come as hard links here.
    'forerun gzip, reflinks': () => ours(bench, ['install', folder, gzip, 'one', 'reflink']),
    [`${old.podman} gzip`]: () => podman(disk, gzip),
    [`${old.skopeo} + ${old.umoci} gzip`]: () => skopeoAndUmoci(disk, gzip),
    'tar -xf': () => rawTar(disk, archives),
    'forerun zstd': () => ours(bench, ['install', folder, zstd, 'one']),
    // The umoci of Debian 12 knows no zstd.
    [`${old.podman} zstd`]: () => podman(disk, zstd),
    [`${later.podman} gzip`]: () => newestPodman(newest, disk, gzip),
    [`${later.podman} zstd`]: () => newestPodman(newest, disk, zstd),
    [`${later.skopeo} + ${later.umoci} gzip`]: () => newestSkopeoAndUmoci(newest, disk, gzip),
    [`${later.skopeo} + ${later.umoci} zstd`]: () => newestSkopeoAndUmoci(newest, disk, zstd),
  }
  const runs = await inTurns(contestants, { disk, rounds: bench.rounds })
  for (const [name, run] of Object.entries(runs)) bench.report(`${name.padEnd(36)}${formatRun(run)}`)
  const seconds = (name: string): number => runs[name]?.seconds ?? Number.NaN
  return {
    install_gzip_vs_best_peer: seconds('forerun gzip') / bestPeer(runs, 'gzip'),
    install_zstd_vs_best_peer: seconds('forerun zstd') / bestPeer(runs, 'zstd'),
    install_gzip_vs_raw_tar: seconds('forerun gzip') / seconds('tar -xf'),
    peak_mb: Math.max(runs['forerun gzip']?.peak ?? 0, runs['forerun zstd']?.peak ?? 0),
  }
}

/** Seconds of the fastest of the programs that do the same. */
function bestPeer(runs: Record<string, Run>, form: Compression): number {
  const peers = Object.entries(runs).filter(([name]) => /podman|skopeo/.test(name) && name.endsWith(` ${form}`))
  return Math.min(...peers.map(([, { seconds }]) => seconds))
}

/** The peers' names with their versions: `podman 4.3.1`. */
async function versions(
  run: (argv: readonly string[]) => Promise<{ stdout: string }>,
): Promise<Record<'podman' | 'skopeo' | 'umoci', string>> {
  const named = async (program: string): Promise<string> => {
    const { stdout } = await run([program, '--version'])
    return `${program} ${/\d+\.\d+(?:\.\d+)?/.exec(stdout)?.[0] ?? '?'}`
  }
  return { podman: await named('podman'), skopeo: await named('skopeo'), umoci: await named('umoci') }
}

const imageLayers = ['base', 'applications', 'top'] as const

/** The memory of an install of one file of 4 GiB. */
export async function measureLargeFile(bench: Installs): Promise<Figures> {
  await ensurePackages(['time'])
  const archives = await largeFileArchives()
  await using registry = await startRegistry()
  await using disk = await memoryDisk({ size: '7G' })
  const image = await registry.push(await imageOf(archives, ['large'], 'gzip'), 'bench/large:1')
  const run = await ours(bench, ['install', join(disk.path, 'ours'), image, 'one'])
  bench.report(`${'forerun, 4 GiB file'.padEnd(28)}${formatRun(run)}`)
  return { peak_mb: run.peak }
}

/** A second checkout by hard link against `cp -al` of the first one: whole processes, the store as the first one left it. */
export async function measureCheckouts(bench: Installs): Promise<Figures> {
  await ensurePackages(['time'])
  const archives = await debianArchives()
  await using registry = await startRegistry()
  await using disk = await memoryDisk({ size: '7G' })
  const image = await registry.push(await imageOf(archives, imageLayers, 'gzip'), 'bench/gzip:1')
  const folder = join(disk.path, 'ours')
  await ours(bench, ['install', folder, image, 'first', 'hardlink'])
  const [own, copies]: [Run[], Run[]] = [[], []]
  for (let round = 0; round < bench.rounds; round++) {
    own.push(await ours(bench, ['install', folder, image, `own-${round}`, 'hardlink']))
    copies.push(await measure(['cp', '-al', 'first', `copy-${round}`], { scratch: disk.path, cwd: folder }))
  }
  for (const [name, runs] of Object.entries({ 'forerun checkout': own, 'cp -al': copies })) {
    bench.report(`${name.padEnd(28)}${formatRun(medianRun(runs))}`)
  }
  return { checkout_vs_cp_al: medianRun(own).seconds / medianRun(copies).seconds }
}

/** Another version of the image, of which one small layer has changed, on top of the first one: bytes from the registry, and time. */
export async function measureUpdate(bench: Installs): Promise<Figures> {
  await ensurePackages(['time'])
  const archives = await debianArchives()
  await using registry = await startRegistry()
  await using proxy = await countingProxy(registry.address)
  await using disk = await memoryDisk({ size: '7G' })
  await registry.push(await imageOf(archives, imageLayers, 'gzip'), 'bench/app:1')
  const changed = await imageOf(archives, ['base', 'applications', 'changed'], 'gzip')
  await registry.push(changed, 'bench/app:2')
  const layer = JSON.parse(changed.manifests.at(-1)?.bytes.toString() ?? '').layers.at(-1) as { size: number }
  const folder = join(disk.path, 'ours')
  const [installs, updates, bytes]: [Run[], Run[], number[]] = [[], [], []]
  for (let round = 0; round < bench.rounds; round++) {
    await disk.clear()
    installs.push(await ours(bench, ['install', folder, `${proxy.address}/bench/app:1`, 'one']))
    const before = proxy.received
    updates.push(await ours(bench, ['install', folder, `${proxy.address}/bench/app:2`, 'two']))
    bytes.push(proxy.received - before)
  }
  bench.report(`${'forerun first version'.padEnd(28)}${formatRun(medianRun(installs))}`)
  bench.report(
    `${'forerun update'.padEnd(28)}${formatRun(medianRun(updates))}  ${median(bytes)} bytes for ${layer.size}`,
  )
  return {
    update_bytes_vs_changed_layer: median(bytes) / layer.size,
    update_seconds_vs_install: medianRun(updates).seconds / medianRun(installs).seconds,
  }
}

/** Ten successive builds in one store: its bytes on the disk over the bytes of the files of which no two have one content. */
export async function measureDisk(bench: Installs): Promise<Figures> {
  const { archives, uniqueBytes } = await tenBuilds()
  await using registry = await startRegistry()
  await using disk = await memoryDisk({ size: '3G' })
  for (let build = 0; build < 10; build++) {
    const image = await registry.push(await imageOf(archives, [`build-${build}`], 'gzip'), `bench/build:${build}`)
    await ours(bench, ['pull', join(disk.path, 'ours'), image])
  }
  const { stdout } = await execute(['du', '--summarize', '--block-size=1', join(disk.path, 'ours/store')])
  const used = Number.parseInt(stdout, 10)
  bench.report(`${'ten versions'.padEnd(24)}${used} bytes on the disk, ${uniqueBytes} in unique files`)
  return { disk_ten_versions_vs_unique: used / uniqueBytes }
}

async function ours({ program }: Installs, words: readonly string[]): Promise<Run> {
  const [, folder = ''] = words
  await mkdir(folder, { recursive: true })
  return await measure([...program, ...words], { scratch: join(folder, '..') })
}

async function podman(disk: MemoryDisk, image: string): Promise<Run> {
  return await measure(podmanPull(disk.path, image), { scratch: disk.path })
}

async function newestPodman(newest: ContainerTools, disk: MemoryDisk, image: string): Promise<Run> {
  return await measure(podmanPull(benchFolder, image), { scratch: disk.path, within: newest })
}

function podmanPull(folder: string, image: string): string[] {
  const storage = [
    '--root',
    join(folder, 'podman'),
    '--runroot',
    join(folder, 'podman-run'),
    '--storage-driver',
    'overlay',
  ]
  return ['podman', ...storage, 'pull', '--quiet', '--tls-verify=false', image]
}

async function skopeoAndUmoci(disk: MemoryDisk, image: string): Promise<Run> {
  return await measure(copyAndUnpack(disk.path, image), { scratch: disk.path })
}

async function newestSkopeoAndUmoci(newest: ContainerTools, disk: MemoryDisk, image: string): Promise<Run> {
  return await measure(copyAndUnpack(benchFolder, image), { scratch: disk.path, within: newest })
}

function copyAndUnpack(folder: string, image: string): string[] {
  const copy = 'skopeo copy -q --src-tls-verify=false "docker://$1" oci:layout:one'
  return ['sh', '-c', `cd "$2" && ${copy} && umoci raw unpack --image layout:one rootfs`, 'sh', image, folder]
}

/** The limit of writing: no network, no decompression, no checks. */
async function rawTar(disk: MemoryDisk, archives: string): Promise<Run> {
  await mkdir(join(disk.path, 'tar'))
  const script = 'for layer in base applications top; do tar -C tar -xf "$1/$layer.tar" || exit 1; done'
  return await measure(['sh', '-c', script, 'sh', archives], { scratch: disk.path, cwd: disk.path })
}

/**
 * Each of them once in every round, so that a slow minute of the machine is everybody's, and in an order that chance gives
 * each round, since what one leaves in the machine's memory makes the next faster or slower; the medians.
 */
async function inTurns(
  contestants: Record<string, () => Promise<Run>>,
  { disk, rounds }: { disk: MemoryDisk; rounds: number },
): Promise<Record<string, Run>> {
  const runs = new Map<string, Run[]>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of shuffled(Object.entries(contestants))) {
      await disk.clear()
      runs.set(name, [...(runs.get(name) ?? []), await run()])
    }
  }
  return Object.fromEntries(Object.keys(contestants).map((name) => [name, medianRun(runs.get(name) ?? [])]))
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  const keyed = items.map((item) => ({ item, key: Math.random() }))
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item)
}

function formatRun({ seconds, cpu, peak }: Run): string {
  return `${seconds.toFixed(2).padStart(7)} s  ${cpu.toFixed(2).padStart(7)} s of CPU  ${peak.toFixed(0).padStart(5)} MB`
}
