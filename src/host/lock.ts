import {
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import { tryLock } from './system-calls.ts'

/** Who has a lock, or waits for it. */
export interface LockHolder {
  readonly process: number
  /** `install etcd`. */
  readonly operation: string
  /** Unix time in seconds since when it has it, or waits for it. */
  readonly since: number
}

export interface LockRequest {
  /** `shared`: with others who share it, for reading. */
  readonly mode: 'exclusive' | 'shared'
  /** In a user's words, for whoever waits. */
  readonly operation: string
  readonly signal: AbortSignal
  /** Told once of the one who is waited for. */
  readonly onWait: (holder: LockHolder) => void
  /** Milliseconds that it is waited for; undefined: as long as it takes. */
  readonly timeout?: number | undefined
}

export interface Lock extends Disposable {
  /** From here on it is shared with others that ask for no more. */
  share(): void
}

/**
 * A lock that is given in the order in which it was asked for. It is a folder of tickets with rising numbers: who asks
 * takes the next one, and has the lock when nobody with a lower number is in the way. The kernel's lock on the ticket's file
 * (flock(2)) tells that its process is alive, and is gone with it. Released by `using`.
 *
 * @throws ForerunError `interrupted` when the signal ends the wait; `locked` when it takes longer than the request says, and for
 * a folder that others may write to.
 */
export async function acquireLock(folder: string, request: LockRequest): Promise<Lock> {
  prepareFolder(folder)
  const ticket = await takeTicket(folder, request)
  const { timeout = Number.POSITIVE_INFINITY } = request
  const end = performance.now() + timeout
  try {
    let told = false
    for (let holder = inTheWay(folder, ticket); holder !== undefined; holder = inTheWay(folder, ticket)) {
      if (performance.now() >= end) throw tookTooLong(holder, timeout)
      if (!told) request.onWait(holder)
      told = true
      await pause(request.signal)
    }
    return ticket
  } catch (error) {
    ticket[Symbol.dispose]()
    throw error
  }
}

function tookTooLong({ operation, process, since }: LockHolder, timeout: number): ForerunError {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - since))
  return new ForerunError(
    'locked',
    `'forerun ${operation}' (process ${process}), which began ${seconds} s ago, was not done within ${timeout / 1000} s`,
    { hint: 'Try it again later, or wait longer with --lock-timeout.' },
  )
}

interface Ticket extends Lock {
  readonly number: number
  readonly mode: LockRequest['mode']
}

/** Its mode is what is said here, whatever the umask. */
function prepareFolder(folder: string): void {
  for (const path of [dirname(folder), folder]) {
    const made = mkdirSync(path, { recursive: true, mode: 0o755 }) !== undefined
    if (made) chmodSync(path, 0o755)
    const { uid, mode } = lstatSync(path)
    if ((uid === 0 || uid === process.geteuid?.()) && (mode & 0o022) === 0) continue
    throw new ForerunError('locked', `other users may write to '${path}'`, {
      hint: `Remove it, or give it back: chown root: ${path}; chmod 755 ${path}`,
    })
  }
}

async function takeTicket(folder: string, { mode, operation, signal }: LockRequest): Promise<Ticket> {
  const counter = openSync(join(folder, 'next'), flags.lock, 0o600)
  try {
    // Held by others for the few moments of taking a ticket.
    while (!tryLock(counter)) await pause(signal)
    removeAbandoned(folder)
    const number = Math.max(0, ...ticketsIn(folder).map((ticket) => ticket.number)) + 1
    const holder: LockHolder = { process: process.pid, operation, since: Math.floor(Date.now() / 1000) }
    const path = join(folder, String(number))
    const fd = openTicket(`${path}.new`, `${marks[mode]}${JSON.stringify(holder)}`)
    renameSync(`${path}.new`, path)
    return {
      number,
      mode,
      share() {
        writeSync(fd, marks.shared, 0)
      },
      [Symbol.dispose]() {
        removeIfPresent(path)
        closeSync(fd)
      },
    }
  } finally {
    closeSync(counter)
  }
}

/** The first byte of a ticket: one that is written over while others read it. */
const marks = { exclusive: 'x', shared: 's' } as const

/** Locked before anybody can see it under its number. */
function openTicket(path: string, content: string): number {
  const fd = openSync(path, flags.lock | constants.O_TRUNC, 0o600)
  if (!tryLock(fd)) throw new Error(`${path} is locked, though its number is new`)
  writeSync(fd, content)
  return fd
}

const flags = {
  lock: constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
  look: constants.O_RDWR | constants.O_NOFOLLOW,
} as const

/**
 * Removes the tickets of processes that are gone. Nobody takes a ticket meanwhile: else a number could be given again between
 * looking at it and removing it, and a ticket go that somebody holds.
 */
function removeAbandoned(folder: string): void {
  for (const { path } of ticketsIn(folder)) if (readTicket(path) === undefined) removeIfPresent(path)
}

/** The first with a lower number that has to be waited for. */
function inTheWay(folder: string, own: Ticket): LockHolder | undefined {
  for (const { number, path } of ticketsIn(folder)) {
    if (number >= own.number) return undefined
    const ticket = readTicket(path)
    if (ticket === undefined || (ticket.mode === 'shared' && own.mode === 'shared')) continue
    return ticket
  }
  return undefined
}

/** In the order of their numbers. */
function ticketsIn(folder: string): { number: number; path: string }[] {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ number: Number(name), path: join(folder, name) }))
    .sort((a, b) => a.number - b.number)
}

/** undefined: its process has released it, or is gone. */
function readTicket(path: string): (LockHolder & Pick<LockRequest, 'mode'>) | undefined {
  const fd = openIfPresent(path)
  if (fd === undefined) return undefined
  try {
    if (tryLock(fd)) return undefined
    const content = readFileSync(fd, 'utf8')
    const mode = content.startsWith(marks.shared) ? 'shared' : 'exclusive'
    return { ...(JSON.parse(content.slice(1)) as LockHolder), mode }
  } finally {
    closeSync(fd)
  }
}

function openIfPresent(path: string): number | undefined {
  try {
    return openSync(path, flags.look)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function removeIfPresent(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** Milliseconds between looks: what a user does not notice, and a host neither. */
const interval = 20

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(interval, undefined, { signal }).catch((cause) => {
    throw new ForerunError('interrupted', 'interrupted while waiting for another forerun command', { cause })
  })
}
