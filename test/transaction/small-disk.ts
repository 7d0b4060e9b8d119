import { execFileSync } from 'node:child_process'
import { scratch } from '../store/scratch.ts'

/** A file system of one megabyte, in memory. */
export function smallDisk(): { path: string } & Disposable {
  const folder = scratch()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'forerun-test', folder.path])
  return {
    path: folder.path,
    [Symbol.dispose]() {
      execFileSync('umount', [folder.path])
      folder[Symbol.dispose]()
    },
  }
}
