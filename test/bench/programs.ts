import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freshArchive, installedHost } from '../e2e/installed-host.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { ensurePackages } from '../lab/packages.ts'
import { execute } from '../lab/process.ts'
import type { Figures } from './figures.ts'
import { bareEnvironment, median } from './measure.ts'

/** `forerun --version`, as the archive installs it, against a program that does nothing, by the same Node. */
export async function measureVersion({ rounds, report }: Programs): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), 'forerun-bench-'))
  try {
    await execute(['tar', '-xzf', await freshArchive(), '-C', folder, '--no-same-owner'])
    await writeFile(join(folder, 'empty.cjs'), '')
    const node = join(folder, 'forerun/node')
    const seconds = await inTurns(
      { ours: [join(folder, 'forerun/forerun'), '--version'], empty: [node, join(folder, 'empty.cjs')] },
      rounds * 10,
    )
    report(`forerun --version ${milliseconds(seconds.ours)}, an empty program ${milliseconds(seconds.empty)}`)
    return { version_vs_empty_node: (seconds.ours ?? 0) / (seconds.empty ?? 0) }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** The list of 20 containers, all of them running, on a real host, against podman's of 20 that were created. */
export async function measureList({ rounds, report }: Programs): Promise<Figures> {
  await ensurePackages(['podman'])
  await using lab = await installedHost()
  const image = await lab.push('bench/service:1', busyboxImage({ exports: serviceExports(['sleep', 'infinity']) }))
  for (let index = 0; index < 20; index++) await lab.must('install', '--now', '--name', `listed-${index}`, image)
  const folder = await mkdtemp('/dev/shm/forerun-bench-')
  const storage = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs']
  try {
    for (let index = 0; index < 20; index++) {
      await execute(['podman', ...storage, 'create', '--tls-verify=false', image, 'sleep', 'infinity'])
    }
    const own: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < rounds * 5; round++) {
      own.push(await timed(() => lab.forerun('containers', 'list')))
      theirs.push(await timed(() => lab.host.exec(['true'])))
    }
    // Entering the host is not a part of the list.
    const list = median(own) - median(theirs)
    const peer = (await inTurns({ podman: ['podman', ...storage, 'ps', '--all'] }, rounds * 5)).podman ?? 0
    report(`forerun containers list ${milliseconds(list)}, podman ps ${milliseconds(peer)}`)
    return { list_vs_podman_ps: list / peer }
  } finally {
    await execute(['podman', ...storage, 'rm', '--all', '--force'], { check: false })
    await rm(folder, { recursive: true, force: true })
  }
}

export interface Programs {
  readonly rounds: number
  readonly report: (line: string) => void
}

async function inTurns<Name extends string>(
  commands: Record<Name, readonly string[]>,
  rounds: number,
): Promise<Partial<Record<Name, number>>> {
  const times = new Map<Name, number[]>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, argv] of Object.entries(commands) as [Name, readonly string[]][]) {
      times.set(name, [...(times.get(name) ?? []), await timed(() => execute(argv, { env: bareEnvironment }))])
    }
  }
  return Object.fromEntries([...times].map(([name, all]) => [name, median(all)])) as Partial<Record<Name, number>>
}

/** Seconds. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

function milliseconds(seconds: number | undefined): string {
  return `${((seconds ?? Number.NaN) * 1000).toFixed(0)} ms`
}
