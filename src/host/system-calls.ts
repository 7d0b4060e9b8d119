import { constants, linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import koffi from 'koffi'
import { processEnd } from './process-end.ts'

/**
 * The system calls that Node has no binding for. Paths are bytes without a terminating NUL. Each function throws a
 * `NodeJS.ErrnoException` as Node's own file functions do. x86-64 and arm64 Linux.
 */

/** Writes the whole file system that holds the open file to its device: syncfs(2). */
export function syncFileSystem(fd: number): void {
  check('syncfs', calls().syncfs(fd))
}

/** Takes an exclusive lock on the open file: flock(2). @returns false when another process holds it. */
export function tryLock(fd: number): boolean {
  const LOCK_EX = 2
  const LOCK_NB = 4
  const EWOULDBLOCK = 11
  if (calls().flock(fd, LOCK_EX | LOCK_NB) === 0) return true
  if (errno === EWOULDBLOCK) return false
  throw systemError('flock')
}

/** Sets access and modification time of a name, without following a symbolic link: utimensat(2). */
export function setTimes(path: Buffer, seconds: number, nanoseconds: number): void {
  const AT_FDCWD = -100
  const AT_SYMLINK_NOFOLLOW = 0x100
  const times = timespecs(seconds, nanoseconds)
  check('utimensat', calls().utimensat(AT_FDCWD, terminated(path), times, AT_SYMLINK_NOFOLLOW), path)
}

/** As `setTimes`, for an open file: futimens(3). */
export function setTimesOfOpenFile(fd: number, seconds: number, nanoseconds: number): void {
  check('futimens', calls().futimens(fd, timespecs(seconds, nanoseconds)))
}

/** Sets an extended attribute of a name, without following a symbolic link: lsetxattr(2). */
export function setExtendedAttribute(path: Buffer, name: Buffer, value: Buffer): void {
  check('lsetxattr', calls().lsetxattr(terminated(path), terminated(name), value, value.length, 0), path)
}

/** Removes an extended attribute that may be there: lremovexattr(2). */
export function removeExtendedAttribute(path: Buffer, name: Buffer): void {
  const ENODATA = 61
  const EOPNOTSUPP = 95
  if (calls().lremovexattr(terminated(path), terminated(name)) === 0) return
  if (![ENODATA, EOPNOTSUPP].includes(errno)) throw systemError('lremovexattr', path)
}

/** As `setExtendedAttribute`, for an open file: fsetxattr(2). */
export function setExtendedAttributeOfOpenFile(fd: number, name: Buffer, value: Buffer): void {
  check('fsetxattr', calls().fsetxattr(fd, terminated(name), value, value.length, 0))
}

/** All extended attributes of a name, without following a symbolic link: llistxattr(2), lgetxattr(2). Names as bytes. */
export function extendedAttributes(path: Buffer): Map<string, Buffer> {
  const attributes = new Map<string, Buffer>()
  const name = terminated(path)
  answer ??= Buffer.alloc(65_536)
  const names = answer
  const length = calls().llistxattr(name, names, names.length)
  check('llistxattr', length, path)
  if (length === 0) return attributes
  for (const attribute of names.toString('latin1', 0, length).split('\0').slice(0, -1)) {
    const value = answer
    const size = calls().lgetxattr(name, Buffer.from(`${attribute}\0`, 'latin1'), value, value.length)
    check('lgetxattr', size, path)
    attributes.set(attribute, Buffer.from(value.subarray(0, size)))
  }
  return attributes
}

/** The kernel's most for a list of names, and for a value. Used again: asking for every file of a tree is common. */
let answer: Buffer | undefined

/** Makes an empty open file one with the content of another, of which it shares all blocks: FICLONE of ioctl(2). */
export function cloneContent(from: number, to: number): void {
  const FICLONE = 0x40049409
  check('ioctl', calls().ioctl(to, FICLONE, from))
}

/**
 * Where the next data, or the next hole, of an open file is, from an offset on: lseek(2). The end of the file counts as a hole.
 *
 * @returns undefined when only a hole is left.
 */
export function seekDataOrHole(fd: number, offset: number, what: 'data' | 'hole'): number | undefined {
  const SEEK = { data: 3, hole: 4 }
  const ENXIO = 6
  const found = calls().lseek(fd, offset, SEEK[what])
  if (found >= 0) return found
  if (errno === ENXIO) return undefined
  throw systemError('lseek')
}

/**
 * Copies bytes at a position of one open file to the same of another, within the kernel: copy_file_range(2).
 *
 * @returns how many, 0 at the end; undefined where it cannot be done between these files.
 */
export function copyRange(
  from: number,
  to: number,
  { position, length }: { position: number; length: number },
): number | undefined {
  const copied = calls().copy_file_range(
    from,
    BigInt64Array.of(BigInt(position)),
    to,
    BigInt64Array.of(BigInt(position)),
    length,
    0,
  )
  if (copied >= 0) return copied
  const EXDEV = 18
  const EINVAL = 22
  const ENOSYS = 38
  const EOPNOTSUPP = 95
  if ([EXDEV, EINVAL, ENOSYS, EOPNOTSUPP].includes(errno)) return undefined
  throw systemError('copy_file_range')
}

/** Gives back to the kernel what has been freed, which the C library keeps for later: malloc_trim(3). */
export function trimMemory(): void {
  calls().malloc_trim(0)
}

/**
 * Ends the process without taking Node down first: _exit(2). While Node is taken down signals have their default action
 * again, so that one that comes then would make a finished command look interrupted; and it waits for the threads in which V8
 * compiles, which now and then wait for the main thread.
 */
function exitAtOnce(status: number): void {
  calls()._exit(status)
}

/** Makes a device node: mknod(2). `type` is `constants.S_IFCHR`, `S_IFBLK` or `S_IFIFO`; permissions follow the umask. */
export function makeNode(path: Buffer, type: number, major: number, minor: number): void {
  check('mknod', calls().mknod(terminated(path), type | 0o600, deviceNumber(major, minor)), path)
}

/** Renames, and fails with EEXIST rather than replace anything: renameat2(2) with RENAME_NOREPLACE. */
export function renameExclusive(from: string, to: string): void {
  const AT_FDCWD = -100
  const RENAME_NOREPLACE = 1
  const ENOSYS = 38
  const EINVAL = 22
  const source = Buffer.from(`${from}\0`)
  const result = calls().renameat2(AT_FDCWD, source, AT_FDCWD, Buffer.from(`${to}\0`), RENAME_NOREPLACE)
  // NFS and ZFS before 2.2 do not have the flag.
  if (result !== 0 && [EINVAL, ENOSYS].includes(errno)) renameWithoutFlag(from, to)
  else check('renameat2', result, Buffer.from(to))
}

/** As `renameExclusive`, for file systems without RENAME_NOREPLACE. A directory could replace an empty one that is made meanwhile. */
export function renameWithoutFlag(from: string, to: string): void {
  if (lstatSync(from).isDirectory()) {
    if (lstatSync(to, { throwIfNoEntry: false }) !== undefined) throw exists(to)
    renameSync(from, to)
  } else {
    linkSync(from, to)
    unlinkSync(from)
  }
}

function exists(path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`EEXIST: rename '${path}'`), { errno: -17, code: 'EEXIST', syscall: 'rename', path })
}

export const nodeTypes = {
  'character-device': constants.S_IFCHR,
  'block-device': constants.S_IFBLK,
  fifo: constants.S_IFIFO,
} as const

type LibcCalls = ReturnType<typeof loadLibc>
let loaded: LibcCalls | undefined

function calls(): LibcCalls {
  if (loaded === undefined) {
    loaded = loadLibc()
    processEnd.atOnce = exitAtOnce
  }
  return loaded
}

function loadLibc() {
  const libc = koffi.load('libc.so.6')
  type Call<Arguments extends unknown[]> = (...args: Arguments) => number
  const declare = <Arguments extends unknown[]>(declaration: string): Call<Arguments> =>
    keepingErrno(libc.func(declaration) as Call<Arguments>)
  const libcCalls = {
    syncfs: declare<[number]>('int syncfs(int fd)'),
    flock: declare<[number, number]>('int flock(int fd, int operation)'),
    utimensat: declare<[number, Buffer, BigInt64Array, number]>(
      'int utimensat(int dirfd, const void *path, const void *times, int flags)',
    ),
    futimens: declare<[number, BigInt64Array]>('int futimens(int fd, const void *times)'),
    lsetxattr: declare<[Buffer, Buffer, Buffer, number, number]>(
      'int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
    ),
    fsetxattr: declare<[number, Buffer, Buffer, number, number]>(
      'int fsetxattr(int fd, const void *name, const void *value, size_t size, int flags)',
    ),
    lremovexattr: declare<[Buffer, Buffer]>('int lremovexattr(const void *path, const void *name)'),
    llistxattr: declare<[Buffer, Buffer, number]>('intptr_t llistxattr(const void *path, void *list, size_t size)'),
    lgetxattr: declare<[Buffer, Buffer, Buffer, number]>(
      'intptr_t lgetxattr(const void *path, const void *name, void *value, size_t size)',
    ),
    malloc_trim: declare<[number]>('int malloc_trim(size_t pad)'),
    _exit: declare<[number]>('void _exit(int status)'),
    // Variable arguments are passed as others are, on both architectures.
    ioctl: declare<[number, number, number]>('int ioctl(int fd, unsigned long request, intptr_t argument)'),
    lseek: declare<[number, number, number]>('int64_t lseek(int fd, int64_t offset, int whence)'),
    copy_file_range: declare<[number, BigInt64Array, number, BigInt64Array, number, number]>(
      'intptr_t copy_file_range(int in, void *in_position, int out, void *out_position, size_t length, unsigned int flags)',
    ),
    mknod: declare<[Buffer, number, bigint]>('int mknod(const void *path, uint32_t mode, uint64_t dev)'),
    renameat2: declare<[number, Buffer, number, Buffer, number]>(
      'int renameat2(int olddirfd, const void *oldpath, int newdirfd, const void *newpath, unsigned int flags)',
    ),
  }
  // A first failure, of which nothing has to be known: what keeps the error is compiled by then.
  libcCalls.flock(-1, 0)
  return libcCalls
}

let errno = 0

/**
 * What a call failed with is read at once: V8 makes calls of its own while it compiles or collects garbage, and a futex(2) that does
 * not wait leaves EAGAIN.
 */
function keepingErrno<Arguments extends unknown[]>(call: (...args: Arguments) => number) {
  return (...args: Arguments): number => {
    const result = call(...args)
    if (result < 0) errno = koffi.errno()
    return result
  }
}

/** The encoding of glibc's makedev(3). */
function deviceNumber(major: number, minor: number): bigint {
  const [ma, mi] = [BigInt(major), BigInt(minor)]
  return ((ma & 0xfffff000n) << 32n) | ((ma & 0xfffn) << 8n) | ((mi & 0xffffff00n) << 12n) | (mi & 0xffn)
}

function timespecs(seconds: number, nanoseconds: number): BigInt64Array {
  const [whole, rest] = [BigInt(seconds), BigInt(nanoseconds)]
  return BigInt64Array.of(whole, rest, whole, rest)
}

function terminated(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, terminator])
}

const terminator = Buffer.alloc(1)

function check(syscall: string, result: number, path?: Buffer): void {
  if (result < 0) throw systemError(syscall, path)
}

function systemError(syscall: string, path?: Buffer): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno)
  const name = path === undefined ? '' : ` '${path.toString()}'`
  return Object.assign(new Error(`${code}: ${syscall}${name}`), {
    errno: -errno,
    code,
    syscall,
    ...(path === undefined ? {} : { path: path.toString() }),
  })
}
