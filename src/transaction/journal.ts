import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { ForerunError } from '../errors.ts'
import { syncDirectory } from '../host/durable-file.ts'
import { namesIn } from '../host/folder-entries.ts'
import { isFullDisk } from '../host/full-disk.ts'
import { tryLock } from '../host/system-calls.ts'
import type { ChangeRecord } from './change.ts'
import { isKnownKind } from './kinds.ts'
import type { Trial } from './trial.ts'

/** What a transaction is about. */
export interface Operation {
  /** `install etcd`, in a user's words. */
  readonly title: string
  /** Names of the containers that it changes. */
  readonly containers: readonly string[]
}

/**
 * The journal of one transaction: a file of JSON lines, each on the disk before what it tells begins. The first line tells
 * the format and the operation, then comes one per change, and `{"committed":true}`; before that `{"trial":…}` where a service
 * is judged first, which is cut off where it failed. What has been undone, or finished after the commit, is told by `{"settled":INDEX}`.
 */
export interface Journal {
  readonly path: string
  append(record: ChangeRecord): void
  /** From here on the transaction is done; what remains is only finishing. */
  commit(): void
  /** All changes are made, and how the service fares decides. While this process lives no other one judges it. */
  putOnTrial(trial: Trial): void
  /** From here on it is not on trial, and all is to be undone. Takes no room on the disk. */
  takeBack(): void
  /**
   * After a commit, or a trial, that could not be written: takes it back, on the disk.
   *
   * @returns false when that fails, too: what the disk holds decides, when the next command reads it.
   */
  retract(): boolean
  /** A record needs nothing any more. Not durable: it may be settled once more. */
  settle(index: number): void
  /** Forgets the transaction. */
  remove(): void
  close(): void
}

export interface JournalContent {
  readonly path: string
  readonly operation: Operation
  readonly records: readonly ChangeRecord[]
  readonly committed: boolean
  /** Of one that is neither committed nor taken back yet, and where its line begins. */
  readonly trial: (Trial & { readonly offset: number }) | undefined
  readonly settled: ReadonlySet<number>
}

/** Of the lines below; another one needs another version of forerun. */
const format = 2

export function openJournal(folder: string, { title, containers }: Operation): Journal {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${String(nextNumber(folder)).padStart(8, '0')}.jsonl`)
  const journal = journalOn(path, openSync(path, 'ax', 0o600))
  try {
    journal.write({ journal: format, operation: title, containers })
    syncDirectory(folder)
  } catch (error) {
    journal.close()
    rmSync(path, { force: true })
    throw error
  }
  return journal
}

/** Goes on with a journal that an earlier command left. */
export function reopenJournal({ path }: JournalContent): Journal {
  return journalOn(path, openSync(path, 'a'))
}

/** As `reopenJournal`, for one on trial; undefined while a living process judges it. */
export function reopenTrial({ path, trial }: JournalContent): Journal | undefined {
  const fd = openSync(path, 'a')
  if (tryLock(fd)) return journalOn(path, fd, { trialAt: trial?.offset })
  closeSync(fd)
  return undefined
}

/**
 * The journals of transactions that have not been settled, the oldest first. A last line that is torn belongs to a change
 * that had not begun, and is dropped. Who holds no lock misses one that is settled meanwhile.
 *
 * @throws ForerunError `journal` for one that another version of forerun wrote.
 */
export function readJournals(folder: string): JournalContent[] {
  return namesIn(folder)
    .filter((name) => /^(?:\d+|transaction)\.jsonl$/.test(name))
    .sort()
    .flatMap((name) => readJournal(join(folder, name)) ?? [])
}

function readJournal(path: string): JournalContent | undefined {
  const text = readUnlessRemoved(path)
  if (text === undefined) return undefined
  const lines = text.split('\n').slice(0, -1).map(parseLine)
  const whole = lines.slice(0, lines.includes(undefined) ? lines.indexOf(undefined) : lines.length) as JournalLine[]
  // Torn before its first line was whole: nothing had begun.
  const {
    journal,
    operation = 'an operation',
    containers = [],
  } = whole.find((line) => 'operation' in line) ?? { journal: format }
  const records = whole.filter((line) => 'kind' in line)
  if (journal !== format || !records.every(({ kind }) => isKnownKind(kind))) {
    throw new ForerunError('journal', `'${operation}' was begun by another version of forerun, and is not finished`, {
      hint: `Finish it with any command of that version, or put things right by hand and remove '${path}'.`,
    })
  }
  const committed = whole.some((line) => 'committed' in line)
  return {
    path,
    operation: { title: operation, containers },
    records,
    committed,
    trial: committed ? undefined : trialIn(whole, text),
    settled: new Set(whole.flatMap((line) => ('settled' in line ? [line.settled] : []))),
  }
}

function readUnlessRemoved(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function trialIn(whole: readonly JournalLine[], text: string): JournalContent['trial'] {
  const index = whole.findIndex((line) => 'trial' in line)
  const line = whole[index]
  if (line === undefined || !('trial' in line)) return undefined
  const before = text
    .split('\n')
    .slice(0, index)
    .map((each) => `${each}\n`)
  return { ...line.trial, offset: Buffer.byteLength(before.join('')) }
}

type JournalLine =
  /** The first one; older versions told the operation alone. */
  | { readonly journal?: number; readonly operation: string; readonly containers?: readonly string[] }
  | ChangeRecord
  | { readonly committed: true }
  | { readonly trial: Trial }
  | { readonly settled: number }

function journalOn(
  path: string,
  fd: number,
  options: { trialAt?: number | undefined } = {},
): Journal & { write(line: object): void } {
  let { trialAt = 0 } = options
  let beforeDecision = 0
  let isOpen = true

  function append(line: object): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
  }

  function write(line: object): void {
    append(line)
    fsyncSync(fd)
  }

  function cut(size: number): void {
    ftruncateSync(fd, size)
    fsyncSync(fd)
  }

  function decide(line: object): void {
    beforeDecision = fstatSync(fd).size
    write(line)
  }

  function close(): void {
    if (isOpen) closeSync(fd)
    isOpen = false
  }

  return {
    path,
    write,
    append: write,
    commit: () => decide({ committed: true }),
    putOnTrial(trial) {
      if (!tryLock(fd)) throw new Error(`${path} is locked, though it is new`)
      decide({ trial })
      trialAt = beforeDecision
    },
    takeBack: () => cut(trialAt),
    retract() {
      try {
        cut(beforeDecision)
        return true
      } catch {
        return false
      }
    },
    settle(index) {
      try {
        append({ settled: index })
      } catch (error) {
        // On a full disk the record is only settled once more.
        if (!isFullDisk(error)) throw error
      }
    },
    remove() {
      close()
      rmSync(path, { force: true })
      syncDirectory(join(path, '..'))
    },
    close,
  }
}

function nextNumber(folder: string): number {
  return Math.max(0, ...namesIn(folder).map((name) => Number.parseInt(name, 10) || 0)) + 1
}

function parseLine(line: string): object | undefined {
  try {
    return JSON.parse(line) as object
  } catch {
    return undefined
  }
}
