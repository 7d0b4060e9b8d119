import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { releaseAtEnd } from './at-end.ts'
import { type ControlGroup, controlGroup } from './cgroup.ts'
import { type FileSystem, mountDisk } from './disk.ts'
import { labFolder, removeLabFolder } from './leftovers.ts'
import { ensurePackages } from './packages.ts'
import { type ExecOptions, type ExecResult, execute, type StartedProcess, started } from './process.ts'
import { type Snapshot, type SnapshotOptions, snapshot } from './snapshot.ts'
import { hostTree } from './tree.ts'

/**
 * Real hosts for tests: a Debian tree under an overlay in memory, booted by systemd-nspawn with PID 1, journal, D-Bus, runc
 * and containerd. The first use on a machine installs packages and makes the tree (a minute); later a host boots in a second.
 *
 *     await using host = await bootHost()
 *     await host.installForerun('dist/forerun-0.1.0-linux-x64.tar.gz')
 *     const before = host.snapshot()
 *     await host.exec(['forerun', 'install', '--system', '127.0.0.1:5000/etcd'])           // throws unless status 0
 *     const { status, stderr } = await host.exec(['forerun', 'pull', 'x'], { check: false })
 *     const running = host.start(['forerun', 'pull', image]); running.signal('SIGINT'); await running.finished
 *     await host.reboot()                                                                  // a clean one, from inside
 *     await host.kill(); await host.boot()                                                 // a crash, and up again
 *     assert.deepEqual(differences(before, host.snapshot()), [])
 *
 * Hosts share the machine's network, so a registry on 127.0.0.1 can be reached and ports collide between hosts;
 * `network: 'own'` gives one nothing but a loopback interface of its own. A host needs root and a version-2 cgroup hierarchy.
 */
export interface LabHost extends AsyncDisposable {
  /** The machine's name, of this host alone. */
  readonly name: string
  /** The host's tree as the machine sees it: read and write files here, up or down. `/run` and other mounts are not in it. */
  readonly root: string
  /** Process id of the host's PID 1; another after each boot. `/proc/LEADER/root` is the tree with its mounts. */
  readonly leader: number
  /** Runs a program in the host, with the environment of a root's login and nothing of the machine's. */
  exec(argv: readonly string[], options?: HostExecOptions): Promise<ExecResult>
  /** As `exec`, for a program to signal or to watch: `finished` settles as `exec` does. */
  start(argv: readonly string[], options?: HostExecOptions): StartedProcess
  /** Shuts down in order and boots again. */
  reboot(): Promise<void>
  /** Ends every process at once, as a power cut that loses nothing written. The tree stays. */
  kill(): Promise<void>
  /** Boots the tree again after `kill`. */
  boot(): Promise<void>
  /** Unpacks the archive of `npm run package` at /usr/lib/forerun and links /usr/bin/forerun to it. */
  installForerun(archive: string): Promise<void>
  /** The files of the host without what a running host writes by itself; compare with `differences` of snapshot.ts. */
  snapshot(options?: SnapshotOptions): Snapshot
  /** What the console printed so far. */
  console(): string
}

export interface HostOptions {
  /** Debian packages beside those of every host. Each set makes a tree of its own in the cache. */
  readonly packages?: readonly string[]
  readonly suite?: string
  /** Accept a host that boots with failed units. Default false: boot throws, naming them. */
  readonly allowDegraded?: boolean
  readonly network?: 'shared' | 'own'
  /** Capabilities that nothing of the host has, PID 1 included, as on a host that is itself a container. Default: none. */
  readonly withoutCapabilities?: readonly string[]
  /** File systems of the host's own, by the path where they are mounted. They outlive a reboot, as disks do. */
  readonly disks?: Readonly<Record<string, FileSystem>>
}

export interface HostExecOptions extends ExecOptions {
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Boots a fresh host and waits until it is up. Disposing of it leaves nothing behind. */
export async function bootHost(options: HostOptions = {}): Promise<LabHost> {
  await ensurePackages(['systemd-container'])
  const tree = await hostTree(options)
  const folder = await labFolder()
  const name = basename(folder)
  const group = controlGroup(name)
  const end = () => {
    group.kill()
    removeLabFolder(folder)
  }
  const disarm = releaseAtEnd(end)
  const release = async () => {
    end()
    await group.remove()
    disarm()
  }
  try {
    await mountTree(folder, tree)
    await identify(join(folder, 'root'), name)
    for (const [path, kind] of Object.entries(options.disks ?? {})) await mountDisk(folder, path, kind)
    const host = new NspawnHost({ name, folder, group, release, options })
    await host.boot()
    return host
  } catch (error) {
    await release()
    throw error
  }
}

/** Unpacks the archive into a tree, as a user of it would. */
export async function placeForerun(archive: string, root: string): Promise<void> {
  await execute(['tar', '-xzf', archive, '-C', join(root, 'usr/lib'), '--no-same-owner'])
  await rm(join(root, 'usr/bin/forerun'), { force: true })
  await symlink('../lib/forerun/forerun', join(root, 'usr/bin/forerun'))
}

interface Parts {
  readonly name: string
  readonly folder: string
  readonly group: ControlGroup
  readonly release: () => Promise<void>
  readonly options: HostOptions
}

class NspawnHost implements LabHost {
  readonly name: string
  readonly root: string
  leader = 0
  readonly #parts: Parts
  #machine: StartedProcess | undefined

  constructor(parts: Parts) {
    this.name = parts.name
    this.root = join(parts.folder, 'root')
    this.#parts = parts
  }

  async boot(): Promise<void> {
    const { group, folder, options } = this.#parts
    const output = openSync(join(folder, 'console'), 'a')
    this.#machine = started(
      // The group is entered by a shell, since two hosts in one group would mix their processes.
      [
        'sh',
        '-c',
        'echo $$ >"$0/cgroup.procs" && exec "$@"',
        group.path,
        ...nspawnCommand(this.root, this.name, options),
      ],
      {
        timeout: 2 ** 31 - 1,
        check: false,
        stdio: ['ignore', output, output],
        env: { PATH: process.env.PATH, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
      },
    )
    closeSync(output)
    await this.#up()
  }

  async exec(argv: readonly string[], options: HostExecOptions = {}): Promise<ExecResult> {
    return await this.start(argv, options).finished
  }

  start(argv: readonly string[], { env, ...options }: HostExecOptions = {}): StartedProcess {
    if (this.leader === 0) throw new Error(`${this.name} is not up`)
    const lab = join(this.#parts.group.path, 'payload/lab')
    const enter = [
      'nsenter',
      '-t',
      String(this.leader),
      '-a',
      '-r',
      '-w',
      '--',
      'env',
      '-i',
      ...environment(env),
      ...argv,
    ]
    // In the host's control groups, as a login would be, so that the runtime finds its own.
    return started(['sh', '-c', 'mkdir -p "$0" && echo $$ >"$0/cgroup.procs" && exec "$@"', lab, ...enter], {
      title: argv.join(' '),
      input: options.input,
      timeout: options.timeout,
      check: options.check,
    })
  }

  async reboot(): Promise<void> {
    const { stdout: before } = await this.exec(bootId)
    // The call may die with the host that it asks to go down.
    await this.exec(['systemctl', 'reboot'], { check: false })
    const ended = await this.#machine?.finished
    // With --keep-unit systemd-nspawn leaves booting again to whoever started it, and says so by this status.
    if (ended?.status !== 133) throw new Error(`${this.name} went down with ${ended?.status}\n${this.console()}`)
    await this.boot()
    if ((await this.exec(bootId)).stdout === before) throw new Error(`${this.name} has not booted again`)
  }

  async kill(): Promise<void> {
    this.#parts.group.kill()
    await this.#machine?.finished
    this.leader = 0
    await this.#parts.group.remove()
    mkdirSync(this.#parts.group.path, { recursive: true })
  }

  async installForerun(archive: string): Promise<void> {
    await placeForerun(archive, this.root)
  }

  snapshot(options?: SnapshotOptions): Snapshot {
    return snapshot(this.root, options)
  }

  console(): string {
    return readFileSync(join(this.#parts.folder, 'console'), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.release()
    this.leader = 0
  }

  /** Waits until there is a PID 1 and it has started everything. */
  async #up(): Promise<void> {
    const end = Date.now() + 120_000
    this.leader = await this.#firstProcess(end)
    let state = ''
    while (!['running', 'degraded', 'maintenance'].includes(state)) {
      if (Date.now() > end) throw new Error(`${this.name} is still ${state || 'without systemd'}\n${this.console()}`)
      const asked = await this.exec(['systemctl', 'is-system-running', '--wait'], { check: false })
      state = asked.stdout.trim()
      if (state === 'offline' || state === '') await sleep(20)
    }
    if (state === 'running' || (state === 'degraded' && this.#parts.options.allowDegraded === true)) return
    const failed = await this.exec(['systemctl', '--failed', '--no-legend', '--plain'])
    throw new Error(`${this.name} is ${state}; failed units:\n${failed.stdout}`)
  }

  async #firstProcess(end: number): Promise<number> {
    const supervisor = this.#machine?.child
    while (Date.now() < end) {
      if (supervisor?.pid === undefined || supervisor.exitCode !== null || supervisor.signalCode !== null) break
      const leader = systemdBelow(supervisor.pid)
      if (leader !== undefined) return leader
      await sleep(20)
    }
    throw new Error(`${this.name} does not boot\n${this.console()}`)
  }
}

const bootId = ['cat', '/proc/sys/kernel/random/boot_id']

function nspawnCommand(root: string, name: string, { network, withoutCapabilities = [] }: HostOptions): string[] {
  return [
    ...['systemd-nspawn', '-D', root, '--boot', '--register=no', '--keep-unit', '--console=pipe', '-M', name],
    // The runtime makes a keyring and device rules, which systemd-nspawn forbids by default.
    ...[
      '--system-call-filter=@keyring bpf',
      '--capability=all',
      ...withoutCapabilities.map((name) => `--drop-capability=${name}`),
      '--resolv-conf=off',
      '--timezone=off',
      ...(network === 'own' ? ['--private-network'] : []),
    ],
  ]
}

/** The tree is the lower layer; what the host writes stays in memory and goes with the mount. */
async function mountTree(folder: string, tree: string): Promise<void> {
  for (const name of ['upper', 'work', 'root']) mkdirSync(join(folder, name))
  const layers = `lowerdir=${tree},upperdir=${join(folder, 'upper')},workdir=${join(folder, 'work')}`
  await execute(['mount', '-t', 'overlay', '-o', layers, 'forerun-lab', join(folder, 'root')])
}

/** A machine id from the beginning: a host that has none takes itself to be at its first boot, and presets every unit. */
async function identify(root: string, name: string): Promise<void> {
  await writeFile(join(root, 'etc/machine-id'), `${crypto.randomUUID().replaceAll('-', '')}\n`)
  await writeFile(join(root, 'etc/hostname'), `${name}\n`)
  await writeFile(join(root, 'etc/hosts'), `127.0.0.1 localhost ${name}\n::1 localhost\n`)
  await writeFile(join(root, 'etc/resolv.conf'), existsSync('/etc/resolv.conf') ? readFileSync('/etc/resolv.conf') : '')
}

function environment(added: Readonly<Record<string, string>> = {}): string[] {
  const variables = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    ...added,
  }
  return Object.entries(variables).map(([key, value]) => `${key}=${value}`)
}

/** The child of systemd-nspawn that is PID 1 of its own namespace and has become systemd. */
function systemdBelow(supervisor: number): number | undefined {
  try {
    for (const thread of readdirSync(`/proc/${supervisor}/task`)) {
      for (const pid of readFileSync(`/proc/${supervisor}/task/${thread}/children`, 'utf8').trim().split(' ')) {
        if (pid === '') continue
        const status = readFileSync(`/proc/${pid}/status`, 'utf8')
        if (/^Name:\tsystemd$/m.test(status) && /^NSpid:.*\t1$/m.test(status)) return Number(pid)
      }
    }
  } catch (error) {
    // A process may go between being listed and being read.
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
  return undefined
}
