import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { releaseAtEnd } from './at-end.ts'
import { labFolder, removeLabFolder } from './leftovers.ts'
import { type ExecOptions, type ExecResult, execute } from './process.ts'
import { debianTree } from './tree.ts'

/**
 * The newest container tools that Debian has: cosign 3, skopeo, podman (and its build) and umoci, with gpg. They run in a
 * tree of their own over the machine's network, so they reach the lab's registries at 127.0.0.1. The first use on a machine
 * makes the tree (20 s); later one is there in a tenth of a second.
 *
 *     await using tools = await containerTools()
 *     await tools.run(['skopeo', 'copy', '--dest-tls-verify=false', 'oci:layout:1', `docker://${registry.address}/a/b:1`])
 *     await writeLayout(image, join(tools.folder, 'layout'), { tag: '1' })     // what the tools see as ./layout
 *     await tools.run(['podman', 'build', '--tls-verify=false', '-t', 'local/app', 'context'])
 *
 * Signing with a key, offline, in a registry over plain HTTP at 127.0.0.1 (`image` is best `ADDRESS/NAME@sha256:…`):
 *
 *     const env = { COSIGN_PASSWORD: '' }
 *     await tools.run(['cosign', 'generate-key-pair'], { env })                // ./cosign.key, ./cosign.pub
 *     // The new bundle, attached by the referrers tag `sha256-HEX` (this registry has no referrers API):
 *     await tools.run(['cosign', 'sign', '--yes', '--key', 'cosign.key', ...offlineSigning, image], { env })
 *     // The tag scheme `sha256-HEX.sig` of cosign 1 and 2:
 *     await tools.run(['cosign', 'sign', '--yes', '--key', 'cosign.key', ...tagSigning, image], { env })
 */
export interface ContainerTools extends AsyncDisposable {
  /** Read and write files here; it is the folder in which each tool starts, `/shared` in the tree. */
  readonly folder: string
  /** The tree as the machine sees it, for settings such as `etc/containers/registries.conf`. */
  readonly root: string
  /** Runs a tool in `folder`, with the environment of a root's login. What it starts is gone when it ends. */
  run(argv: readonly string[], options?: ToolOptions): Promise<ExecResult>
}

export interface ToolOptions extends ExecOptions {
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** No transparency log, no timestamp: what a key signs is signed by it alone. */
export const offlineSigning: readonly string[] = ['--use-signing-config=false', '--tlog-upload=false']

/** As `offlineSigning`, stored in the way of cosign 1 and 2. */
export const tagSigning: readonly string[] = [...offlineSigning, '--new-bundle-format=false']

const packages = ['base-files', 'coreutils', 'cosign', 'dash', 'gpg', 'gpg-agent', 'podman', 'skopeo', 'time', 'umoci']

/**
 * Makes the tools ready. Disposing of them leaves nothing behind.
 *
 * @param options.bench a folder of the machine that the tools see at `benchFolder`.
 */
export async function containerTools({ bench }: { bench?: string } = {}): Promise<ContainerTools> {
  // Unpacked and not set up: the tools need no more, and it takes a third of the time.
  const tree = await debianTree(packages, { suite: 'forky', variant: 'extract' })
  const lab = await labFolder()
  const disarm = releaseAtEnd(() => removeLabFolder(lab))
  const root = join(lab, 'root')
  const folder = join(lab, 'shared')
  try {
    for (const name of ['upper', 'work', 'root', 'shared', 'storage']) mkdirSync(join(lab, name))
    const layers = `lowerdir=${tree},upperdir=${join(lab, 'upper')},workdir=${join(lab, 'work')}`
    await execute(['mount', '-t', 'overlay', '-o', layers, 'forerun-lab', root])
    for (const name of ['shared', benchFolder, 'var/lib/containers']) mkdirSync(join(root, name), { recursive: true })
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\n')
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')
  } catch (error) {
    removeLabFolder(lab)
    disarm()
    throw error
  }
  const command = (argv: readonly string[], env: ToolOptions['env'] = {}): string[] => [
    ...[...entering, 'sh', '-c', enter, lab, bench ?? join(lab, 'shared')],
    ...['env', '-i', ...environment(env), 'sh', '-c', start, ...argv],
  ]
  return {
    folder,
    root,
    run: (argv, { env = {}, ...options } = {}) => execute(command(argv, env), { title: argv.join(' '), ...options }),
    [Symbol.asyncDispose]: async () => {
      removeLabFolder(lab)
      disarm()
    },
  }
}

/** Where the tools see the folder of a bench. */
export const benchFolder = '/bench'

const entering = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']

/** The mounts are of one run alone. Podman's storage is beside the tree, since an overlay cannot lie over an overlay. */
const enter = `set -e
mount -t proc proc "$0/root/proc"
mount --rbind /dev "$0/root/dev"
mount -t sysfs sysfs "$0/root/sys"
mount -t cgroup2 cgroup2 "$0/root/sys/fs/cgroup"
mount --bind "$0/shared" "$0/root/shared"
mount --bind "$0/storage" "$0/root/var/lib/containers"
mount --bind "$1" "$0/root${benchFolder}"
shift
exec chroot "$0/root" "$@"`

const start = 'cd /shared && exec "$0" "$@"'

function environment(added: Readonly<Record<string, string>>): string[] {
  const variables = { PATH: '/usr/sbin:/usr/bin', HOME: '/root', LANG: 'C.UTF-8', TMPDIR: '/tmp', ...added }
  return Object.entries(variables).map(([key, value]) => `${key}=${value}`)
}
