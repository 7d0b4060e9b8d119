import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { releaseAtEnd } from './at-end.ts'
import { announce, cached } from './cache.ts'
import { placeForerun } from './host.ts'
import { labFolder, removeLabFolder } from './leftovers.ts'
import { ensurePackages } from './packages.ts'
import { execute, type StartedProcess, started } from './process.ts'
import { hostTree } from './tree.ts'

/**
 * A machine with a kernel of its own, for what the hosts of host.ts cannot show: control group controllers and limits, and
 * power cuts. It is emulated, so a boot takes fifteen seconds; the first use makes a disk with Debian's kernel (two minutes).
 *
 *     await using machine = await makeMachine()
 *     await machine.installForerun(archive)
 *     await machine.change((root) => writeFile(join(root, 'etc/x'), 'text'))            // while it is off
 *     const { status, output } = await machine.boot('cat /sys/fs/cgroup/cgroup.controllers')   // boots, runs, powers off
 *     await machine.boot('forerun pull …; echo half >/dev/ttyS1; sleep 60', { cutAt: 'half' })  // the plug is pulled there
 *     await machine.change(async (root) => assert.equal(await readFile(join(root, 'etc/x'), 'utf8'), 'text'))
 *
 * A registry of the lab, on the loopback of this machine, is at 10.0.2.2 for the emulated one.
 */
export interface LabMachine extends AsyncDisposable {
  /**
   * Boots to multi-user.target, runs a shell script as root, and powers off. `output` is what the script printed;
   * `status` is undefined when it did not end, as after a power cut. `console` is the serial console's text.
   */
  boot(script: string, options?: BootOptions): Promise<{ status: number | undefined; output: string; console: string }>
  /** Mounts the disk of the machine, which is off, while the function runs. Replays the journal as the next boot would. */
  change<Result>(use: (root: string) => Promise<Result>): Promise<Result>
  /** As LabHost does. */
  installForerun(archive: string): Promise<void>
}

export interface BootOptions {
  /** Kill the emulator, as a power cut, when the script has written this to /dev/ttyS1. What was not flushed is lost. */
  readonly cutAt?: string
  /** Milliseconds. Default three minutes. */
  readonly timeout?: number
}

export async function makeMachine(options: { packages?: readonly string[] } = {}): Promise<LabMachine> {
  if (process.arch !== 'x64') throw new Error('the lab emulates machines on x86-64 only')
  await ensurePackages(['qemu-system-x86', 'e2fsprogs'])
  const tree = await hostTree({ packages: [...kernelPackages, ...(options.packages ?? [])] })
  const disk = await baseDisk(tree)
  const folder = await labFolder()
  const machine = new QemuMachine(folder, tree)
  try {
    await execute(['cp', '--sparse=always', disk, join(folder, 'disk')])
    await mkdir(join(folder, 'root'))
    return machine
  } catch (error) {
    await machine[Symbol.asyncDispose]()
    throw error
  }
}

const kernelPackages = ['initramfs-tools', 'linux-image-cloud-amd64']

/** An ext4 file system of the tree, with the unit that runs a script at each boot. */
async function baseDisk(tree: string): Promise<string> {
  return await cached('disk', { tree, unit, recipe: 2 }, async (path) => {
    announce('making the disk of an emulated machine')
    await execute(['mke2fs', '-q', '-t', 'ext4', '-d', tree, path, '4G'], { timeout: 600_000 })
    const folder = await labFolder()
    try {
      const root = join(folder, 'root')
      await mkdir(root)
      await using _mounted = await mountedDisk(path, root)
      await mkdir(join(root, 'lab'))
      await writeFile(join(root, 'etc/systemd/system/lab.service'), unit)
      await symlink(
        '/etc/systemd/system/lab.service',
        join(root, 'etc/systemd/system/multi-user.target.wants/lab.service'),
      )
      await writeFile(join(root, 'etc/machine-id'), `${crypto.randomUUID().replaceAll('-', '')}\n`)
      await writeFile(join(root, 'etc/hostname'), 'machine\n')
    } finally {
      removeLabFolder(folder)
    }
  })
}

/**
 * Unmounts when it is disposed of, and waits until nobody has the disk: a mount namespace that another test made meanwhile
 * has a copy of the mount, through which the kernel would go on writing below a machine that has booted.
 */
async function mountedDisk(disk: string, root: string): Promise<AsyncDisposable> {
  await execute(['mount', '-o', 'loop', disk, root])
  return {
    async [Symbol.asyncDispose]() {
      await execute(['umount', root])
      for (const since = performance.now(); (await execute(['losetup', '--associated', disk])).stdout !== ''; ) {
        if (performance.now() - since > longestNamespace) throw new Error(`${disk} is still mounted in a namespace`)
        await sleep(50)
      }
    },
  }
}

/** Milliseconds: a test with a container daemon takes a minute. */
const longestNamespace = 300_000

const unit = `[Unit]
Description=The script of the lab
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStartPre=-/bin/sh -c 'ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2'
ExecStart=/bin/sh -c 'sh /lab/script >/lab/output 2>&1; echo $? >/lab/status; sync'
TimeoutStartSec=infinity
`

class QemuMachine implements LabMachine {
  readonly #folder: string
  readonly #tree: string
  readonly #disarm: () => void
  #emulator: StartedProcess | undefined

  constructor(folder: string, tree: string) {
    this.#folder = folder
    this.#tree = tree
    this.#disarm = releaseAtEnd(() => {
      this.#emulator?.signal('SIGKILL')
      removeLabFolder(folder)
    })
  }

  async boot(script: string, { cutAt, timeout = 600_000 }: BootOptions = {}) {
    await this.change(async (root) => {
      for (const name of ['output', 'status']) await rm(join(root, 'lab', name), { force: true })
      await writeFile(join(root, 'lab/script'), script)
    })
    const [consoleFile, marks] = [join(this.#folder, 'console'), join(this.#folder, 'marks')]
    await rm(marks, { force: true })
    // It ends with this process even when that is killed.
    const argv = ['setpriv', '--pdeathsig', 'KILL', ...(await this.#command({ consoleFile, marks }))]
    this.#emulator = started(argv, { timeout, title: 'the emulated machine', check: cutAt === undefined })
    if (cutAt === undefined) await this.#emulator.finished
    else await this.#cut(this.#emulator, { marks, cutAt })
    const result = await this.change(async (root) => ({
      status: (await present(join(root, 'lab/status')))?.trim(),
      output: (await present(join(root, 'lab/output'))) ?? '',
    }))
    const status = result.status === undefined || result.status === '' ? undefined : Number(result.status)
    const console = readFileSync(consoleFile, 'utf8')
    if (status === undefined && cutAt === undefined) throw new Error(`the script did not end\n${console}`)
    return { status, output: result.output, console }
  }

  async change<Result>(use: (root: string) => Promise<Result>): Promise<Result> {
    const root = join(this.#folder, 'root')
    await using _mounted = await mountedDisk(join(this.#folder, 'disk'), root)
    return await use(root)
  }

  async installForerun(archive: string): Promise<void> {
    await this.change((root) => placeForerun(archive, root))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#emulator?.signal('SIGKILL')
    await this.#emulator?.finished.catch((error) => announce(String(error.message).split('\n')[0] ?? ''))
    removeLabFolder(this.#folder)
    this.#disarm()
  }

  async #command({ consoleFile, marks }: { consoleFile: string; marks: string }): Promise<string[]> {
    const boot = join(this.#tree, 'boot')
    const names = (await readdir(boot)).sort()
    const named = (prefix: string) => join(boot, names.findLast((name) => name.startsWith(prefix)) ?? '')
    const disk = `file=${join(this.#folder, 'disk')},if=virtio,format=raw`
    return [
      ...['qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', '1536', '-no-reboot'],
      ...['-display', 'none', '-monitor', 'none', '-drive', disk, '-netdev', 'user,id=net'],
      ...[
        '-device',
        'virtio-net-pci,netdev=net,romfile=',
        '-serial',
        `file:${consoleFile}`,
        '-serial',
        `file:${marks}`,
      ],
      ...['-kernel', named('vmlinuz-'), '-initrd', named('initrd.img-')],
      ...['-append', 'root=/dev/vda rw console=ttyS0 loglevel=4 net.ifnames=0 systemd.show_status=false'],
    ]
  }

  async #cut(emulator: StartedProcess, { marks, cutAt }: { marks: string; cutAt: string }): Promise<void> {
    const cut = new AbortController()
    const watching = (async () => {
      while (!cut.signal.aborted) {
        if ((await present(marks))?.includes(cutAt)) {
          emulator.signal('SIGKILL')
          return
        }
        await sleep(5)
      }
    })()
    try {
      const { status } = await emulator.finished
      if (status !== 137) throw new Error(`the machine went down by itself before it wrote '${cutAt}' to /dev/ttyS1`)
    } finally {
      cut.abort()
      await watching
    }
  }
}

async function present(path: string): Promise<string | undefined> {
  return existsSync(path) ? await readFile(path, 'utf8') : undefined
}
