import { mkdirSync } from 'node:fs'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensurePackages } from './packages.ts'
import { execute } from './process.ts'

/** File systems that a host of the lab may have beside the overlay that it boots from. */
export type FileSystem = keyof typeof makers | 'tmpfs'

/**
 * Mounts a new file system at a path of a tree: in memory, or in an image in memory. Unmounted with the tree, it is gone:
 * the loop device is given back by the kernel.
 *
 * @param folder the `labFolder` that holds the tree at `root`; the image comes to lie there.
 */
export async function mountDisk(folder: string, path: string, kind: FileSystem): Promise<void> {
  const where = join(folder, 'root', path)
  mkdirSync(where, { recursive: true })
  if (kind === 'tmpfs') {
    await execute(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'forerun-lab', where])
    return
  }
  const { packages, command } = makers[kind]
  await ensurePackages(packages)
  const image = join(folder, `disk-${path.replaceAll('/', '-')}`)
  await writeFile(image, '', { flag: 'wx' })
  await truncate(image, size)
  await execute([...command, image])
  await execute(['mount', '-o', 'loop', image, where])
}

/** Bytes, of which only those written to take memory. mkfs.xfs makes none below 300 MB. */
const size = 512 * 1024 * 1024

const makers = {
  ext4: { packages: ['e2fsprogs'], command: ['mkfs.ext4', '-q', '-E', 'lazy_itable_init=1', '-O', '^has_journal'] },
  xfs: { packages: ['xfsprogs'], command: ['mkfs.xfs', '-q', '-m', 'reflink=1'] },
  btrfs: { packages: ['btrfs-progs'], command: ['mkfs.btrfs', '-q'] },
} as const
