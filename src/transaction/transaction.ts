import { ForerunError } from '../errors.ts'
import { namingFullDisk } from '../host/full-disk.ts'
import { type Change, type ChangeHost, type ChangeRecord, changeSubject } from './change.ts'
import {
  type Journal,
  type JournalContent,
  type Operation,
  openJournal,
  readJournals,
  reopenJournal,
  reopenTrial,
} from './journal.ts'
import { makeChange, prepareChange } from './kinds.ts'
import { settle, syncTouched, touchedPaths } from './settle.ts'
import type { Trial } from './trial.ts'

/**
 * Makes all changes or none. Each is recorded on the disk, with what undoing needs, before it begins; the durable commit
 * record decides. A failure or a raised signal undoes, in reverse, what was made. The process may be killed at any point:
 * `recover` then finishes or undoes. The host must be locked, and recovered.
 *
 * @throws the error that stopped the changes, after undoing them; ForerunError `journal` while an earlier transaction with
 * one of these containers could not be undone.
 */
export async function applyChanges(
  operation: Operation,
  changes: readonly Change[],
  options: TransactionOptions,
): Promise<void> {
  const { host } = options
  const { journal, records } = await makeChanges(operation, changes, {
    ...options,
    decide: (journal) => journal.commit(),
  })
  host.emit({ type: 'committed' })
  await settle({ operation, records, settled: new Set() }, { journal, host, verb: 'finish' })
  journal.close()
}

/**
 * As `applyChanges`, but how the service fares decides, and not that the changes could be made. Nobody has to hold the lock
 * until then: as long as this process lives `recover` leaves the transaction to it, and after its death judges it itself.
 */
export async function applyOnTrial(
  operation: Operation,
  changes: readonly Change[],
  options: TransactionOptions & { trial: Trial },
): Promise<OpenTrial> {
  const { host, trial } = options
  const decide = (journal: Journal): void => journal.putOnTrial(trial)
  const { journal, records } = await makeChanges(operation, changes, { ...options, decide })
  host.emit({ type: 'on-trial', operation: operation.title })
  return openTrial({ operation, trial, records, settled: new Set() }, { journal, host })
}

export interface TransactionOptions {
  /** The folder of the journals. */
  readonly journal: string
  readonly host: ChangeHost
  readonly signal: AbortSignal
}

/** A transaction that waits for its judgement. The host must be locked for either end; disposing leaves it to others. */
export interface OpenTrial extends Disposable {
  readonly operation: Operation
  readonly trial: Trial
  /** The changes hold. @throws what kept it from being written, after undoing them; ForerunError `journal`. */
  confirm(): Promise<void>
  /** @returns false when not all could be undone, which was told: the next command tries it again. */
  takeBack(): Promise<boolean>
}

/** The transactions that wait for a judgement, whoever is to give it. */
export function readTrials(folder: string): { operation: Operation; trial: Trial }[] {
  return readJournals(folder).flatMap(({ operation, trial }) => (trial === undefined ? [] : { operation, trial }))
}

/** Paths that undoing or finishing needs yet, on the host and beside it. */
export function journaledPaths(folder: string): ReadonlySet<string> {
  const records = readJournals(folder).flatMap((content) => content.records)
  return new Set(records.flatMap((record) => Object.values(record).filter((value) => typeof value === 'string')))
}

/**
 * The transactions that wait for a judgement by nobody else: whoever began them is gone, or left it to the next boot.
 *
 * @param host locked.
 */
export function abandonedTrials(folder: string, host: ChangeHost): OpenTrial[] {
  return readJournals(folder).flatMap((content) => {
    const { trial } = content
    const journal = trial === undefined ? undefined : reopenTrial(content)
    return trial === undefined || journal === undefined ? [] : openTrial({ ...content, trial }, { journal, host })
  })
}

function openTrial(
  { operation, trial, ...content }: Pick<JournalContent, 'operation' | 'records' | 'settled'> & { trial: Trial },
  { journal, host }: { journal: Journal; host: ChangeHost },
): OpenTrial {
  async function takeBack(): Promise<boolean> {
    journal.takeBack()
    return await settle({ operation, ...content }, { journal, host, verb: 'undo' })
  }

  return {
    operation,
    trial,
    async confirm() {
      try {
        commit(operation, journal, () => journal.commit())
      } catch (error) {
        if (!isUndecided(error)) await takeBack()
        throw error
      }
      host.emit({ type: 'committed' })
      await settle({ operation, ...content }, { journal, host, verb: 'finish' })
    },
    takeBack,
    [Symbol.dispose]: () => journal.close(),
  }
}

/**
 * Finishes or undoes what commands left that were killed, or that could not undo it themselves. What fails once more is
 * told, and tried again by the next command; what waits for a judgement is left. The host must be locked.
 *
 * @throws ForerunError `interrupted` when something failed and the signal is raised; `journal`.
 */
export async function recover(folder: string, host: ChangeHost, signal: AbortSignal): Promise<void> {
  for (const left of readJournals(folder)) {
    if (left.trial !== undefined) continue
    const journal = reopenJournal(left)
    const verb = left.committed ? 'finish' : 'undo'
    const done = await settle(left, { journal, host, verb })
    journal.close()
    if (done) {
      host.emit({ type: 'recovered', operation: left.operation.title, outcome: left.committed ? 'finished' : 'undone' })
    } else if (signal.aborted) {
      throw new ForerunError('interrupted', 'interrupted while recovering from an earlier command that was cut short', {
        hint: 'The next command does it again.',
      })
    }
  }
}

/** The next boot knows of it before it is there. */
function beginJournal(operation: Operation, { journal, host }: TransactionOptions): Journal {
  try {
    host.recoverAtBoot(true)
    return openJournal(journal, operation)
  } catch (error) {
    if (readJournals(journal).length === 0) host.recoverAtBoot(false)
    throw error
  }
}

async function makeChanges(
  operation: Operation,
  changes: readonly Change[],
  options: TransactionOptions & { decide: (journal: Journal) => void },
): Promise<{ journal: Journal; records: ChangeRecord[] }> {
  const { host, signal, decide } = options
  refuseUnsettled(operation, options)
  const journal = beginJournal(operation, options)
  const records: ChangeRecord[] = []
  try {
    for (const change of changes) {
      refuseAborted(signal)
      await applyChange(change, { host, journal, records })
    }
    refuseAborted(signal)
    syncTouched(records)
    commit(operation, journal, () => decide(journal))
    return { journal, records }
  } catch (error) {
    if (!isUndecided(error)) await settle({ operation, records, settled: new Set() }, { journal, host, verb: 'undo' })
    journal.close()
    throw namingFullDisk(error, placeOf(records.at(-1)) ?? options.journal)
  }
}

async function applyChange(
  change: Change,
  transaction: { host: ChangeHost; journal: Journal; records: ChangeRecord[] },
): Promise<void> {
  const { host, journal, records } = transaction
  const index = records.length
  const record = await prepareChange(change, host)
  journal.append(record)
  records.push(record)
  const about = { index, kind: record.kind, subject: changeSubject(record) }
  host.emit({ type: 'change', phase: 'recorded', ...about })
  await makeChange(change, record, host)
  host.emit({ type: 'change', phase: 'applied', ...about })
}

/** What is decided may not be on the disk for half. */
function commit({ title }: Operation, journal: Journal, decide: () => void): void {
  try {
    decide()
  } catch (cause) {
    if (journal.retract()) throw cause
    throw new ForerunError('journal', `cannot write '${journal.path}': ${(cause as Error).message}`, {
      hint: `Whether '${title}' holds is decided by the next command, from what the disk has of it. Look at the disk first.`,
      cause: undecided,
    })
  }
}

const undecided = new Error('the commit could neither be written nor taken back')

function isUndecided(error: unknown): boolean {
  return error instanceof Error && error.cause === undecided
}

/**
 * What is still to be undone would take away what a new transaction makes under the same names. What is only to be cleaned
 * up is given up for it, and told.
 */
function refuseUnsettled({ containers }: Operation, { journal, host }: { journal: string; host: ChangeHost }): void {
  const left = readJournals(journal).filter(({ operation }) =>
    operation.containers.some((one) => containers.includes(one)),
  )
  for (const content of left.filter(({ committed }) => committed)) {
    const subjects = content.records.filter((_, index) => !content.settled.has(index)).map(changeSubject)
    host.emit({
      type: 'notice',
      message: `Left where it is after '${content.operation.title}': ${subjects.join(', ')}`,
    })
    reopenJournal(content).remove()
  }
  const [blocking] = left.filter(({ committed }) => !committed)
  if (blocking === undefined) return
  if (blocking.trial !== undefined) {
    throw new ForerunError('journal', `'${blocking.operation.title}' has not been judged yet`, {
      hint: 'Wait until its service has been up for long enough, or end it with: forerun recover',
    })
  }
  throw new ForerunError('journal', `'${blocking.operation.title}' could not be undone yet; see the messages above`, {
    hint: `Mend what keeps it, and call again; '${blocking.path}' tells what is left to undo.`,
  })
}

function placeOf(record: ChangeRecord | undefined): string | undefined {
  return record === undefined ? undefined : touchedPaths(record)[0]
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new ForerunError('interrupted', 'interrupted; what had been changed was put back')
}
