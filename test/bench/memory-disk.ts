import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { releaseAtEnd } from '../lab/at-end.ts'
import { ensurePackages } from '../lab/packages.ts'
import { execute } from '../lab/process.ts'

/** An XFS in memory, all of whose blocks are there from the start, so that the first writer does not pay for them. */
export interface MemoryDisk extends AsyncDisposable {
  readonly path: string
  /** Removes everything, and waits until that is done. */
  clear(): Promise<void>
}

/** @param options.size as fallocate(1) takes it: `8G`. */
export async function memoryDisk({ size }: { size: string }): Promise<MemoryDisk> {
  await ensurePackages(['xfsprogs'])
  const folder = await mkdtemp('/dev/shm/forerun-bench-')
  const [image, path] = [join(folder, 'image'), join(folder, 'disk')]
  const release = (): void => {
    // Detached, since a process that was just killed may still have a file open; with the last of them its memory goes.
    const { status, stderr } = spawnSync('umount', ['--lazy', '--recursive', path], { encoding: 'utf8' })
    if (status !== 0 && !/not mounted|no mount point|not found/.test(stderr)) throw new Error(stderr.trim())
    spawnSync('rm', ['-rf', '--one-file-system', folder])
  }
  const disarm = releaseAtEnd(release)
  await mkdir(path)
  await execute(['fallocate', '--length', size, image])
  await execute(['mkfs.xfs', '-q', image])
  await execute(['mount', '-o', 'loop', image, path])
  return {
    path,
    async clear() {
      // Podman leaves its overlay's folder mounted.
      for (const name of await readdir(path)) {
        spawnSync('umount', ['--recursive', '--quiet', join(path, name, 'overlay')])
        await rm(join(path, name), { recursive: true, force: true })
      }
      await execute(['sync', '--file-system', path])
    },
    async [Symbol.asyncDispose]() {
      release()
      disarm()
    },
  }
}
