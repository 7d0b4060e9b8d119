import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { archivePath, makeArchive } from '../../packaging/archive.ts'
import { buildBundle } from '../../packaging/build.ts'
import type { Architecture } from '../../packaging/npm-package.ts'
import { cacheFolder, exclusively } from '../lab/cache.ts'
import { bootHost, type HostOptions, type LabHost } from '../lab/host.ts'
import type { LabImage } from '../lab/image.ts'
import type { ExecResult } from '../lab/process.ts'
import { type LabRegistry, type RegistryOptions, startRegistry } from '../lab/registry.ts'
import { differences, type Snapshot } from '../lab/snapshot.ts'

/**
 * A booted host that has forerun installed from its archive, as a user would, and a registry that it reaches.
 *
 *     await using lab = await installedHost()
 *     const etcd = await lab.push('test/etcd', etcdImage())              // '127.0.0.1:PORT/test/etcd'
 *     await lab.must('install', '--system', '--now', etcd)              // throws unless status 0
 *     const { status, stderr } = await lab.forerun('pull', 'x')
 *     const { json } = await lab.forerun<ContainerRow[]>('containers', 'list', '--json')
 *     const before = lab.files(); …; assert.deepEqual(changesSince(before, lab), [])
 */
export interface InstalledHost extends AsyncDisposable {
  readonly host: LabHost
  readonly registry: LabRegistry
  /** Stores an image under `REPOSITORY[:TAG]`; returns its whole reference. */
  push(name: string, image: LabImage | Promise<LabImage>): Promise<string>
  /** Runs forerun in the host to its end, whatever its status. */
  forerun<Json = unknown>(...words: string[]): Promise<ForerunResult<Json>>
  /** As `forerun`. @throws unless the status is 0. */
  must<Json = unknown>(...words: string[]): Promise<ForerunResult<Json>>
  /** Runs a shell's script in the host; what it prints, trimmed. @throws unless the status is 0. */
  shell(script: string): Promise<string>
  /** What a program in a running container prints. Waits until the runtime has the container, which systemd may not. */
  inside(container: string, ...argv: string[]): Promise<string>
  /** A property of a unit, as `systemctl show` tells it. */
  property(unit: string, name: string): Promise<string>
  /** All files of the host, without those of forerun's store. */
  files(): Snapshot
}

export interface ForerunResult<Json> extends ExecResult {
  /** Of standard output, with `--json` among the words; undefined without. */
  readonly json: Json
}

interface InstalledHostOptions extends HostOptions {
  readonly registry?: RegistryOptions
  /** Seconds that services have to stay up, in place of the defaults of forerun.conf. */
  readonly settle?: number
}

export async function installedHost(options: InstalledHostOptions = {}): Promise<InstalledHost> {
  const { registry: registryOptions, settle, ...hostOptions } = options
  await using made = new AsyncDisposableStack()
  const archive = await freshArchive()
  const registry = made.use(await startRegistry(registryOptions))
  const host = made.use(await bootHost(hostOptions))
  await host.installForerun(archive)
  if (settle !== undefined) await host.exec(['sh', '-c', settleSettings, 'sh', `${settle}`])
  const owned = made.move()

  async function forerun<Json>(...words: string[]): Promise<ForerunResult<Json>> {
    const result = await host.exec(['forerun', ...words], { check: false })
    return { ...result, json: (words.includes('--json') ? JSON.parse(result.stdout) : undefined) as Json }
  }

  const shell = async (script: string): Promise<string> => (await host.exec(['sh', '-c', script])).stdout.trim()

  return {
    host,
    registry,
    push: async (name, image) => registry.push(await image, name),
    forerun,
    async must<Json>(...words: string[]) {
      const result = await forerun<Json>(...words)
      if (result.status === 0) return result
      throw new Error(`forerun ${words.join(' ')} ended with ${result.status}\n${result.stdout}${result.stderr}`)
    },
    shell,
    async inside(container, ...argv) {
      await until(`${container} runs`, async () => {
        const { stdout } = await host.exec(['runc', 'state', container], { check: false })
        return stdout !== '' && JSON.parse(stdout).status === 'running'
      })
      return (await host.exec(['runc', 'exec', container, ...argv])).stdout
    },
    property: (unit, name) => shell(`systemctl show --value -p ${name} ${unit}`),
    files: () => host.snapshot({ except: ['/var/lib/forerun'] }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const settleSettings =
  'mkdir -p /etc/forerun/forerun.conf.d; printf "[service]\\nsettle = %s\\n[update]\\nsettle = %s\\n" "$1" "$1" >/etc/forerun/forerun.conf.d/settle.conf'

/** What has changed on a host since `files()`, a line each. */
export function changesSince(before: Snapshot, lab: InstalledHost): string[] {
  return differences(before, lab.files())
}

/** Waits until a condition holds, asking again and again. @throws after ten seconds, or `seconds`. */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  { seconds = 10 }: { seconds?: number } = {},
): Promise<void> {
  const end = Date.now() + seconds * 1000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain: ${what}`)
    await sleep(50)
  }
}

/** The archive of this machine's architecture, made anew when something that goes into it is younger. */
export async function freshArchive(): Promise<string> {
  using _lock = await exclusively(join(cacheFolder(), 'archive.lock'))
  const architecture = process.arch as Architecture
  const path = archivePath(architecture)
  const made = await stat(path).catch(absent)
  const root = join(import.meta.dirname, '../..')
  const younger = await Promise.all(['src', 'templates', 'packaging'].map((name) => youngest(join(root, name))))
  if (made !== undefined && made.mtimeMs > Math.max(...younger)) return path
  await buildBundle()
  return await makeArchive(architecture)
}

/** When the last of the files below a folder was written, in milliseconds since 1970. */
async function youngest(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const times = await Promise.all(
    files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).mtimeMs),
  )
  return Math.max(0, ...times)
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
