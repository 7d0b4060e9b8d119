import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { syncDirectory } from '../host/durable-file.ts'
import type { ChangeRecord } from './change.ts'

/**
 * The journal of the transaction under way: a file of JSON lines, each on the disk before what it tells begins. The
 * first line names the operation, then comes one per change, and `{"committed":true}` last.
 */
export interface Journal {
  append(record: ChangeRecord): void
  /** From here on the transaction is done; what remains is only finishing. */
  commit(): void
  /** Forgets the transaction. */
  remove(): void
}

export interface JournalContent {
  /** `install etcd`. */
  readonly operation: string
  readonly records: readonly ChangeRecord[]
  readonly committed: boolean
}

/** @throws Error when a transaction is under way: recovery comes first. */
export function openJournal(folder: string, operation: string): Journal {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = journalPath(folder)
  const fd = openSync(path, 'ax', 0o600)
  const append = (line: object): void => {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
    fsyncSync(fd)
  }
  try {
    append({ operation })
    syncDirectory(folder)
  } catch (error) {
    closeSync(fd)
    rmSync(path, { force: true })
    throw error
  }
  return {
    append,
    commit: () => append({ committed: true }),
    remove() {
      closeSync(fd)
      removeJournal(folder)
    },
  }
}

/**
 * What an ended process left; undefined when it left nothing. A last line that is torn belongs to a change that had
 * not begun, and is dropped.
 */
export function readJournal(folder: string): JournalContent | undefined {
  const path = journalPath(folder)
  if (!existsSync(path)) return undefined
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1).map(parseLine)
  const whole = lines.slice(0, lines.includes(undefined) ? lines.indexOf(undefined) : lines.length)
  const [first, ...rest] = whole as [{ operation: string } | undefined, ...(ChangeRecord | { committed: true })[]]
  return {
    operation: first?.operation ?? 'an operation',
    records: rest.filter((line) => 'kind' in line),
    committed: rest.some((line) => 'committed' in line),
  }
}

export function removeJournal(folder: string): void {
  rmSync(journalPath(folder), { force: true })
  syncDirectory(folder)
}

/** Keeps a journal that could not be worked off, under a name that says when. @returns its path. */
export function putJournalAside(folder: string): string {
  const aside = join(folder, `unfinished-${Date.now()}.jsonl`)
  renameSync(journalPath(folder), aside)
  syncDirectory(folder)
  return aside
}

function journalPath(folder: string): string {
  return join(folder, 'transaction.jsonl')
}

function parseLine(line: string): object | undefined {
  try {
    return JSON.parse(line) as object
  } catch {
    return undefined
  }
}
