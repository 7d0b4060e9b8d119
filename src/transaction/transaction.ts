import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ForerunError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { namingFullDisk } from '../host/full-disk.ts'
import { syncFileSystem } from '../host/system-calls.ts'
import { type Change, type ChangeHost, type ChangeRecord, changeSubject } from './change.ts'
import { type Journal, openJournal, putJournalAside, readJournal, removeJournal } from './journal.ts'
import { finishChange, undoChange } from './kinds.ts'

/**
 * Makes all changes or none. Each is recorded on the disk, with what undoing needs, before it begins; the durable commit
 * record decides. A failure or a raised signal undoes, in reverse, what was made. The process may be killed at any point:
 * `recover` then finishes or undoes. The host must be locked, and recovered.
 *
 * @throws the error that stopped the changes, after undoing them.
 */
export async function applyChanges(
  operation: string,
  changes: readonly Change[],
  options: { journal: string; host: ChangeHost; signal: AbortSignal },
): Promise<void> {
  const { host, signal } = options
  const journal = openJournal(options.journal, operation)
  const records: ChangeRecord[] = []
  try {
    for (const change of changes) {
      refuseAborted(signal)
      await applyChange(change, { host, journal, records })
    }
    refuseAborted(signal)
    syncTouched(records)
    journal.commit()
  } catch (error) {
    const undone = await undoAll(records, host)
    syncTouched(records)
    if (undone) journal.remove()
    throw namingFullDisk(error, placeOf(records.at(-1)) ?? options.journal)
  }
  host.emit({ type: 'committed' })
  if (await finishAll(records, host)) journal.remove()
}

/**
 * Finishes or undoes what a killed command left, or one that could not undo it itself. What fails once more is told, and
 * the journal then put aside under another name, so that one file out of reach does not stop all later commands. The
 * host must be locked.
 *
 * @throws ForerunError `interrupted` when something failed and the signal is raised: the next command tries it all again.
 */
export async function recover(folder: string, host: ChangeHost, signal: AbortSignal): Promise<void> {
  const left = readJournal(folder)
  if (left === undefined) return
  const done = await (left.committed ? finishAll(left.records, host) : undoAll(left.records, host))
  syncTouched(left.records)
  if (!done && signal.aborted) {
    throw new ForerunError('interrupted', 'interrupted while recovering from an earlier command that was cut short', {
      hint: 'The next command does it again.',
    })
  }
  if (done) removeJournal(folder)
  else host.emit({ type: 'notice', message: `The rest is for you to mend: see ${putJournalAside(folder)}.` })
  host.emit({ type: 'recovered', operation: left.operation, outcome: left.committed ? 'finished' : 'undone' })
}

async function applyChange(
  change: Change,
  transaction: { host: ChangeHost; journal: Journal; records: ChangeRecord[] },
): Promise<void> {
  const { host, journal, records } = transaction
  const index = records.length
  const record = await change.prepare(host)
  journal.append(record)
  records.push(record)
  const about = { index, kind: record.kind, subject: changeSubject(record) }
  host.emit({ type: 'change', phase: 'recorded', ...about })
  await change.apply(host)
  host.emit({ type: 'change', phase: 'applied', ...about })
}

/** Undoes as much as can be; what cannot is told and does not keep the rest from being undone. @returns whether all was. */
async function undoAll(records: readonly ChangeRecord[], host: ChangeHost): Promise<boolean> {
  let all = true
  for (const [index, record] of [...records.entries()].reverse()) {
    const done = await attempt(host.emit, `could not undo '${record.kind}' of ${changeSubject(record)}`, () =>
      undoChange(record, host),
    )
    all &&= done
    host.emit({ type: 'change', phase: 'undone', index, kind: record.kind, subject: changeSubject(record) })
  }
  return all
}

async function finishAll(records: readonly ChangeRecord[], host: ChangeHost): Promise<boolean> {
  let all = true
  for (const record of records) {
    const done = await attempt(host.emit, `could not clean up after '${record.kind}' of ${changeSubject(record)}`, () =>
      finishChange(record, host),
    )
    all &&= done
  }
  return all
}

async function attempt(emit: Emit, failure: string, action: () => Promise<void>): Promise<boolean> {
  try {
    await action()
    return true
  } catch (error) {
    const code = error instanceof ForerunError ? error.code : undefined
    emit({ type: 'undo-failed', code, message: `${failure}: ${(error as Error).message}` })
    return false
  }
}

function placeOf(record: ChangeRecord | undefined): string | undefined {
  return record === undefined ? undefined : touchedPaths(record)[0]
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new ForerunError('interrupted', 'interrupted; what had been changed was put back')
}

/** Makes durable what was done on every file system that a record names. */
function syncTouched(records: readonly ChangeRecord[]): void {
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

function touchedPaths(record: ChangeRecord): readonly string[] {
  switch (record.kind) {
    case 'create-tmpfiles':
      return record.absent
    case 'enable':
    case 'disable':
      return record.before.map(({ path }) => path)
    default:
      return 'path' in record ? [record.path] : []
  }
}

function nearestExisting(folder: string): string {
  return existsSync(folder) ? folder : nearestExisting(dirname(folder))
}
