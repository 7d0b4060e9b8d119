import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { namesIn } from '../host/folder-entries.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex } from '../image/digest.ts'
import { blobPath, blobsFolder } from './image-index.ts'

/**
 * What was received of a blob, as it came, so that a pull which was cut short goes on there. Nobody has verified it, and
 * a power cut may have spoilt it: the digest of the whole tells in the end.
 */
export interface PartialBlob extends Disposable {
  /** Bytes so far. */
  readonly received: number
  /** Puts bytes from a position on, which is before the end, into a buffer. @returns how many. */
  read(into: Buffer, position: number): number
  /** Keeps bytes that follow. @throws the kernel's error, also for a full disk. */
  append(bytes: Buffer): void
  /** Forgets what was received. */
  clear(): void
}

/** The store must be locked. Disposing closes the file, which stays; `removePartialBlob` removes it. */
export function openPartialBlob(store: string, { digest, size }: Pick<Descriptor, 'digest' | 'size'>): PartialBlob {
  mkdirSync(partialFolder(store), { recursive: true, mode: 0o700 })
  const fd = openSync(partialBlobPath(store, digest), 'a+', 0o600)
  if (fstatSync(fd).size > size) ftruncateSync(fd)
  let received = fstatSync(fd).size
  return {
    get received() {
      return received
    },
    read(into, position) {
      const length = readSync(fd, into, 0, Math.min(into.length, received - position), position)
      if (length === 0) throw new Error(`the partial blob ${digest} ends before byte ${position}`)
      return length
    },
    append(bytes) {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
      received += bytes.length
    },
    clear() {
      ftruncateSync(fd)
      received = 0
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}

/** Makes a blob that has been received and verified one that the store keeps. It must be durable already. */
export function keepPartialBlob(store: string, digest: Digest): void {
  mkdirSync(blobsFolder(store), { recursive: true, mode: 0o700 })
  renameSync(partialBlobPath(store, digest), blobPath(store, digest))
}

export function removePartialBlob(store: string, digest: Digest): void {
  rmSync(partialBlobPath(store, digest), { force: true })
}

export function partialBlobPath(store: string, digest: Digest): string {
  return join(partialFolder(store), `${digestAlgorithm(digest)}-${digestHex(digest)}`)
}

/**
 * Removes what pulls left that nobody took up again. The store must be locked.
 *
 * @param options.olderThan milliseconds since the last byte; default 0, which is all.
 * @returns bytes that were freed.
 */
export function removePartialBlobs(store: string, { olderThan = 0 }: { olderThan?: number } = {}): number {
  let freed = 0
  for (const name of namesIn(partialFolder(store))) {
    const path = join(partialFolder(store), name)
    const { mtimeMs, blocks } = statSync(path)
    if (Date.now() - mtimeMs < olderThan) continue
    rmSync(path)
    freed += blocks * 512
  }
  return freed
}

function partialFolder(store: string): string {
  return join(store, 'partial')
}
