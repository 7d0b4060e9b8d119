import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ForerunError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { syncFileSystem } from '../host/system-calls.ts'
import { type ChangeHost, type ChangeRecord, changeSubject } from './change.ts'
import { type Journal, type JournalContent, readJournals } from './journal.ts'
import { finishChange, undoChange } from './kinds.ts'

/**
 * Undoes or finishes what has not been settled; what fails is told and does not keep the rest from being done. When all is
 * done and durable the journal goes.
 */
export async function settle(
  { operation, records, settled }: Pick<JournalContent, 'operation' | 'records' | 'settled'>,
  { journal, host, verb }: { journal: Journal; host: ChangeHost; verb: 'undo' | 'finish' },
): Promise<boolean> {
  const left = [...records.entries()].filter(([index]) => !settled.has(index))
  const failed: number[] = []
  for (const [index, record] of verb === 'undo' ? left.reverse() : left) {
    const subject = changeSubject(record)
    const done = await attempt(host.emit, `${failure[verb]} '${record.kind}' of ${subject}`, async () => {
      await (verb === 'undo' ? undoChange(record, host, operation.containers) : finishChange(record, host))
    })
    if (done) journal.settle(index)
    else failed.push(index)
    if (verb === 'undo') host.emit({ type: 'change', phase: 'undone', index, kind: record.kind, subject })
  }
  syncTouched(records)
  if (failed.length > 0) {
    host.emit({
      type: 'notice',
      message: `The next command tries it again. What is left to do stands in ${journal.path}`,
    })
    return false
  }
  journal.remove()
  const folder = dirname(journal.path)
  await attempt(host.emit, 'could not take back what the next boot was to do', async () => {
    if (readJournals(folder).length === 0) host.recoverAtBoot(false)
  })
  return true
}

const failure = { undo: 'could not undo', finish: 'could not clean up after' } as const

async function attempt(emit: Emit, message: string, action: () => Promise<void>): Promise<boolean> {
  try {
    await action()
    return true
  } catch (error) {
    const code = error instanceof ForerunError ? error.code : undefined
    emit({ type: 'undo-failed', code, message: `${message}: ${(error as Error).message}` })
    return false
  }
}

/** Makes durable what was done on every file system that a record names. */
export function syncTouched(records: readonly ChangeRecord[]): void {
  const devices = new Map<number, string>()
  for (const path of records.flatMap(touchedPaths)) {
    const folder = nearestExisting(dirname(path))
    devices.set(statSync(folder).dev, folder)
  }
  for (const folder of devices.values()) {
    const fd = openSync(folder, 'r')
    try {
      syncFileSystem(fd)
    } finally {
      closeSync(fd)
    }
  }
}

/** The paths that a record makes, changes or removes. */
export function touchedPaths(record: ChangeRecord): readonly string[] {
  if (record.kind === 'create-tmpfiles') return record.absent
  if (record.kind === 'remove-empty') return record.paths
  return 'path' in record ? [record.path] : []
}

function nearestExisting(folder: string): string {
  return existsSync(folder) ? folder : nearestExisting(dirname(folder))
}
