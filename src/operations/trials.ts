import { ForerunError } from '../errors.ts'
import { bootId } from '../host/boot-id.ts'
import { unitName } from '../host/paths.ts'
import { readDeployment, rememberRefused, surveyDeployment } from '../store/deployment.ts'
import type { Change } from '../transaction/change.ts'
import type { Operation } from '../transaction/journal.ts'
import { abandonedTrials, applyChanges, applyOnTrial, type OpenTrial } from '../transaction/transaction.ts'
import type { Trial, Verdict } from '../transaction/trial.ts'
import { abandonedMessage, tellAbandoned } from './abandoned-update.ts'
import { changeHost } from './change-host.ts'
import type { Context } from './context.ts'
import { removeUnneeded } from './files-of-others.ts'
import { awaitTrial, bringUp, glance, trialTerms } from './judge.ts'
import { acquireHostLock } from './locks.ts'
import { removeUnfinished } from './unfinished.ts'

/** What is decided of a trial before the changes are made. */
export interface TrialWish extends Pick<Trial, 'awaits' | 'settle' | 'candidate'> {
  readonly container: string
}

/**
 * Makes changes: for good, or, with a trial, until `judgeOwn` or the next boot has judged them. The host must be locked.
 *
 * @throws as `applyChanges`.
 */
export async function carryOut(
  operation: Operation,
  changes: readonly Change[],
  { trial, context }: { trial: TrialWish | undefined; context: Context },
): Promise<OpenTrial | undefined> {
  const options = { journal: context.paths.journal, host: changeHost(context), signal: context.signal }
  if (trial !== undefined) {
    return await applyOnTrial(operation, changes, { ...options, trial: await trialOf(trial, context) })
  }
  await applyChanges(operation, changes, options)
  return undefined
}

async function trialOf(wish: TrialWish, context: Context): Promise<Trial> {
  const unit = unitName(wish.container)
  const host = changeHost(context)
  const isActive = await host.isActive(unit)
  return {
    ...wish,
    unit,
    since: Date.now(),
    boot: bootId(),
    invocation: isActive ? await host.invocation(unit) : '',
    dependants: isActive ? await host.dependants(unit) : [],
  }
}

/**
 * Ends a trial that this process began: starts the service, or restarts it in one job with those that require it, and sees that
 * it stays up. Then the changes hold; else they are undone, and the service is back as it was. The host must not be locked:
 * nobody else has to wait for this.
 *
 * @throws ForerunError `systemd`, with the last lines of the unit's journal; `interrupted`.
 */
export async function judgeOwn(open: OpenTrial, context: Context): Promise<void> {
  using _open = open
  const { unit, invocation } = open.trial
  const begin = async (): Promise<void> => {
    const manager = await context.manager()
    const isRunning = invocation !== ''
    context.emit({ type: 'step', message: `${isRunning ? 'Restarting' : 'Starting'} ${unit}` })
    await (isRunning ? manager.restart(unit) : manager.start(unit))
  }
  try {
    await bringUp(trialTerms(open.trial, context), begin, context)
  } catch (error) {
    // An interruption says nothing of the version.
    const isRefused = error instanceof ForerunError && error.code === 'systemd'
    await conclude(open, { isUp: false, isRefused }, context)
    throw error
  }
  await conclude(open, { isUp: true }, context)
}

/**
 * Waits for the judgement of a trial whose process is gone, and ends it. The host must not be locked.
 *
 * @returns `down`: the changes were taken back, and the service does not run without them either.
 * @throws ForerunError `interrupted`: it stays on trial.
 */
export async function judgeAbandoned(open: OpenTrial, context: Context): Promise<'confirmed' | 'taken back' | 'down'> {
  using _open = open
  const verdict = await awaitTrial(open.trial, context)
  const told = abandonedMessage(open, context)
  if (verdict.outcome !== 'down') {
    await conclude(open, { isUp: true }, context)
    await tellAbandoned(told, undefined)
    return 'confirmed'
  }
  tellTakenBack(open, verdict.reason, context)
  const isUp = await conclude(open, { isUp: false, isRefused: verdict.isUntried !== true }, context)
  await tellAbandoned(told, `${open.trial.unit} ${verdict.reason}`)
  return isUp ? 'taken back' : 'down'
}

/**
 * Ends the trials that nobody judges and that are decided by now. What is to be changed anew does not wait for the next boot.
 * The host must be locked.
 *
 * @param containers those that are to be changed.
 * @param options.onGivenUp told of one that waited for the next boot, before it is taken back.
 * @returns a trial of one of these that is still open, and that this process judges now.
 */
export async function endAbandoned(
  containers: readonly string[],
  context: Context,
  options: { readonly onGivenUp?: ((trial: Trial) => void) | undefined } = {},
): Promise<OpenTrial | undefined> {
  let waiting: OpenTrial | undefined
  for (const open of abandonedTrials(context.paths.journal, changeHost(context))) {
    const isConcerned = containers.includes(open.trial.container)
    const verdict = isConcerned && isPending(open.trial) ? superseded : await glanceOrLeave(open.trial, context)
    if (verdict.outcome === 'undecided' && isConcerned && waiting === undefined) {
      waiting = open
      continue
    }
    using _open = open
    const told = abandonedMessage(open, context)
    if (verdict.outcome === 'up') {
      await open.confirm()
      await tellAbandoned(told, undefined)
    }
    if (verdict.outcome === 'down') {
      tellTakenBack(open, verdict.reason, context)
      if (verdict === superseded) options.onGivenUp?.(open.trial)
      await takeBack(open, context, { isRefused: verdict.isUntried !== true })
      await tellAbandoned(told, `${open.trial.unit} ${verdict.reason}`)
    }
  }
  return waiting
}

const superseded = { outcome: 'down', reason: 'waited for the next boot', culprit: '', isUntried: true } as const

/** Whether it waits for a boot that is still to come. */
export function isPending({ awaits, boot }: Trial): boolean {
  return awaits === 'boot' && boot === bootId()
}

/** Commands that have nothing to do with it go on without systemd, too. */
async function glanceOrLeave(trial: Trial, context: Context): Promise<Verdict> {
  try {
    return await glance(trial, context)
  } catch (error) {
    if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
    context.emit({ type: 'notice', message: `${trial.container} stays on trial: ${error.message}` })
    return { outcome: 'undecided' }
  }
}

function tellTakenBack({ operation, trial }: OpenTrial, reason: string, { emit }: Context): void {
  emit({ type: 'notice', message: `'${operation.title}' is taken back: ${trial.unit} ${reason}` })
}

/** A signal does not keep it from ending. @returns whether the service is up now. */
async function conclude(
  open: OpenTrial,
  { isUp, isRefused = false }: { isUp: boolean; isRefused?: boolean },
  interruptible: Context,
): Promise<boolean> {
  const { signal: _, lockTimeout: __, ...rest } = interruptible
  const context: Context = { ...rest, signal: new AbortController().signal }
  {
    using _host = await acquireHostLock(open.operation.title, context)
    if (isUp) {
      await open.confirm()
      return true
    }
    await takeBack(open, context, { isRefused })
  }
  return await tellState(open.trial, context)
}

/** Remembers the version that did not stay up. The host must be locked. */
async function takeBack(open: OpenTrial, context: Context, { isRefused }: { isRefused: boolean }): Promise<void> {
  const { candidate, container } = open.trial
  const tried = surveyDeployment(context.paths.containers, container)
  const isDone = await open.takeBack()
  if (isDone && tried !== undefined && 'info' in tried) removeUnneeded(tried, context)
  await removeUnfinished(context)
  if (!isRefused || candidate === undefined) return
  try {
    rememberRefused({ folder: candidate.before }, candidate.manifest)
  } catch (error) {
    // A disk that is full must not hide why it was taken back.
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
    context.emit({ type: 'notice', message: `${open.trial.container}: ${(error as Error).message}` })
  }
}

/** What undoing could not do it has told itself. */
async function tellState(trial: Trial, context: Context): Promise<boolean> {
  const { container, invocation } = trial
  const deployment = readDeployment(context.paths.containers, container)
  if (deployment === undefined) return true
  const { image, revision } = deployment.info
  const tell = (state: string): void =>
    context.emit({ type: 'notice', message: `${container} was put back to ${image} (${revision}), and ${state}` })
  if (invocation === '') return true
  const { settle } = context.settings.service
  const terms = { ...trialTerms(trial, context), settle, health: undefined }
  try {
    await bringUp(terms, async () => {}, context)
    tell('runs as before')
    return true
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    tell(`does not run: ${error.message}`)
    return false
  }
}
