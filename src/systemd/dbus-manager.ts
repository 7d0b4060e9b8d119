import type { Variant } from 'dbus-next/lib/variant.js'
import type { Emit } from '../events.ts'
import { type MethodCall, Refusal } from './connection.ts'
import { type JobOptions, jobFailure, jobResult } from './job.ts'
import type { ServiceStatus, SystemdManager, UnitState, UnitStatus } from './manager.ts'
import { callFailure } from './refusal.ts'
import { managerInterface, managerPath, openSessions, type Session } from './session.ts'

export interface ManagerOptions {
  /**
   * Aborts the connecting, and a start or stop that waits at that moment. What is called after the abort runs: an
   * interrupted command undoes its changes through the same manager.
   */
  readonly signal?: AbortSignal | undefined
  readonly emit: Emit
  readonly busSocket?: string
  readonly privateSocket?: string
  /** Milliseconds between looks at whether systemd still knows a job that is waited for. */
  readonly probeInterval?: number
}

/** `systemctl` gives a reload twice the time of other calls: a host with thousands of units needs many seconds. */
const reloadTimeout = 180_000

/**
 * The systemd manager of the running host over D-Bus (org.freedesktop.systemd1(5)): over the system bus, else over systemd's
 * private socket. After a connection was lost the next call makes a new one, so that undoing works when the bus has died.
 * @throws ForerunError `systemd` when no systemd runs here or none answers, `permission`, `interrupted`. The manager's
 * functions throw these, too, and `unit` for a unit that systemd refuses, `file-exists` and `disk-full`.
 */
export async function connectManager(options: ManagerOptions): Promise<SystemdManager> {
  const { emit, signal, probeInterval } = options
  const sessions = await openSessions({
    emit,
    signal,
    busSocket: options.busSocket ?? '/run/dbus/system_bus_socket',
    privateSocket: options.privateSocket ?? '/run/systemd/private',
  })

  /** What fails becomes the error for a user: `cannot ACTION UNIT: …`. */
  async function attempt<Result>(
    action: string,
    unit: string,
    run: (session: Session) => Promise<Result>,
  ): Promise<Result> {
    const session = await sessions.current()
    try {
      return await run(session)
    } catch (error) {
      throw callFailure(`${action} ${unit}`, error, { unit })
    }
  }

  /** For a job that is asked for now. Once aborted it is the undoing of a command that asks, and that runs to its end. */
  const waiting = (): JobOptions => ({ signal: signal?.aborted ? undefined : signal, probeInterval })

  function bringUp(verb: 'start' | 'restart', member: 'StartUnit' | 'RestartUnit', unit: string): Promise<void> {
    const options = waiting()
    return attempt(verb, unit, async (session) => {
      const result = await jobResult(session, () => queueJob(session, member, unit), options)
      if (result === 'failed') throw jobFailure(unit, verb, result, await serviceResult(session, unit))
      if (result !== 'done') throw jobFailure(unit, verb, result)
    })
  }

  return {
    async reload() {
      const session = await sessions.current()
      await manage(session, { member: 'Reload' }, { timeout: reloadTimeout }).catch((error) => {
        throw callFailure('reload systemd', error)
      })
    },
    start: (unit) => bringUp('start', 'StartUnit', unit),
    restart: (unit) => bringUp('restart', 'RestartUnit', unit),
    stop(unit) {
      const options = waiting()
      return attempt('stop', unit, async (session) => {
        const queue = (): Promise<string> => queueJob(session, 'StopUnit', unit)
        const result = await jobResult(session, queue, options).catch(doneWhenNotLoaded)
        if (result !== 'done') throw jobFailure(unit, 'stop', result)
      })
    },
    resetFailed: (unit) =>
      attempt('reset the failed state of', unit, async (session) => {
        await manage(session, { member: 'ResetFailedUnit', signature: 's', body: [unit] }).catch(doneWhenNotLoaded)
      }),
    status: (unit) => attempt('read the state of', unit, (session) => unitStatus(session, unit)),
    dependants: (unit) => attempt('read the state of', unit, (session) => activeDependants(session, unit)),
    service: (unit) => attempt('read the state of', unit, (session) => serviceStatus(session, unit)),
    async statuses(units) {
      if (units.length === 0) return new Map()
      const session = await sessions.current()
      return unitStates(session, units).catch((error) => {
        throw callFailure('read the states of units', error)
      })
    },
    async [Symbol.asyncDispose]() {
      sessions.close()
    },
  }
}

type ManagerCall = Omit<MethodCall, 'destination' | 'path' | 'interface'>

async function manage(session: Session, call: ManagerCall, options?: { timeout: number }): Promise<readonly unknown[]> {
  const { body } = await session.call({ ...call, path: managerPath, interface: managerInterface }, options)
  return body
}

async function queueJob(
  session: Session,
  member: 'StartUnit' | 'RestartUnit' | 'StopUnit',
  unit: string,
): Promise<string> {
  const [job] = await manage(session, { member, signature: 'ss', body: [unit, 'replace'] })
  return String(job)
}

/** For what is done already when systemd does not have the unit in memory. */
function doneWhenNotLoaded(error: unknown): string {
  if (error instanceof Refusal && error.error === 'org.freedesktop.systemd1.NoSuchUnit') return 'done'
  throw error
}

async function unitStatus(session: Session, unit: string): Promise<UnitStatus> {
  const [loaded] = await manage(session, { member: 'LoadUnit', signature: 's', body: [unit] })
  const path = String(loaded)
  const isService = unit.endsWith('.service')
  const [properties, mainPid, slice] = await Promise.all([
    allProperties(session, path),
    isService ? serviceProperty(session, path, 'MainPID') : 0,
    isService ? serviceProperty(session, path, 'Slice') : '',
  ])
  const [, loadError] = (properties.LoadError?.value ?? ['', '']) as [string, string]
  const text = (name: string): string => String(properties[name]?.value ?? '')
  return {
    loadState: text('LoadState'),
    loadError,
    activeState: text('ActiveState'),
    subState: text('SubState'),
    unitFileState: text('UnitFileState'),
    fragmentPath: text('FragmentPath'),
    mainPid: Number(mainPid),
    // In microseconds.
    since: Math.floor(Number(properties.StateChangeTimestamp?.value ?? 0) / 1e6),
    invocation: invocationOf(properties),
    ...(slice === '' ? {} : { slice: String(slice) }),
  }
}

async function activeDependants(session: Session, unit: string): Promise<string[]> {
  const found = new Set<string>()
  const waiting = [unit]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [loaded] = await manage(session, { member: 'LoadUnit', signature: 's', body: [next] })
    const properties = await allProperties(session, String(loaded))
    if (next !== unit && properties.ActiveState?.value !== 'active') continue
    if (next !== unit) found.add(next)
    const names = ['RequiredBy', 'BoundBy', 'ConsistsOf'].flatMap((name) => (properties[name]?.value ?? []) as string[])
    waiting.push(...names.filter((name) => name !== unit && !found.has(name)))
  }
  return [...found]
}

const propertiesInterface = 'org.freedesktop.DBus.Properties'

async function allProperties(session: Session, path: string): Promise<Record<string, Variant | undefined>> {
  const body = ['org.freedesktop.systemd1.Unit']
  const reply = await session.call({ path, interface: propertiesInterface, member: 'GetAll', signature: 's', body })
  return reply.body[0] as Record<string, Variant | undefined>
}

type ServiceProperty = 'MainPID' | 'NRestarts' | 'Result' | 'Slice' | 'Type'

/** One property alone: for all of a service's, systemd would read its accounting from the kernel. */
async function serviceProperty(session: Session, path: string, name: ServiceProperty): Promise<unknown> {
  const body = ['org.freedesktop.systemd1.Service', name]
  const reply = await session.call({ path, interface: propertiesInterface, member: 'Get', signature: 'ss', body })
  return (reply.body[0] as Variant).value
}

async function serviceStatus(session: Session, unit: string): Promise<ServiceStatus> {
  const [loaded] = await manage(session, { member: 'LoadUnit', signature: 's', body: [unit] })
  const path = String(loaded)
  const [properties, type, result, restarts] = await Promise.all([
    allProperties(session, path),
    ...(['Type', 'Result', 'NRestarts'] as const).map((name) => serviceProperty(session, path, name)),
  ])
  const text = (name: string): string => String(properties[name]?.value ?? '')
  const [job] = (properties.Job?.value ?? [0]) as [number, string]
  const isActive = activeStates.includes(text('ActiveState'))
  return {
    loadState: text('LoadState'),
    activeState: text('ActiveState'),
    subState: text('SubState'),
    type: String(type),
    result: String(result),
    restarts: Number(restarts),
    hasJob: job !== 0,
    invocation: invocationOf(properties),
    activeFor: isActive ? milliseconds() - Number(properties.ActiveEnterTimestampMonotonic?.value ?? 0) / 1000 : 0,
  }
}

/** In which a unit does its work. */
const activeStates = ['active', 'reloading', 'refreshing']

/** On the clock by which systemd tells monotonic times (CLOCK_MONOTONIC). */
function milliseconds(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}

function invocationOf({ InvocationID }: Record<string, Variant | undefined>): string {
  return Buffer.from((InvocationID?.value ?? []) as Uint8Array).toString('hex')
}

/** Why the service failed, in systemd's word (`exit-code`, `timeout`, …); undefined for other kinds of units. */
async function serviceResult(session: Session, unit: string): Promise<string | undefined> {
  if (!unit.endsWith('.service')) return undefined
  const [path] = await manage(session, { member: 'LoadUnit', signature: 's', body: [unit] })
  return String(await serviceProperty(session, String(path), 'Result'))
}

async function unitStates(session: Session, units: readonly string[]): Promise<Map<string, UnitState>> {
  const [list] = await manage(session, { member: 'ListUnitsByNames', signature: 'as', body: [units] })
  const states = new Map<string, UnitState>()
  // In the order asked for; an alias comes back under the name of its unit. Only an invalid name has no row.
  const rows = list as [string, string, string, string, string][]
  if (rows.length !== units.length) throw new Error(`systemd tells of ${rows.length} units, not of ${units.length}`)
  for (const [index, [, , loadState, activeState, subState]] of rows.entries()) {
    states.set(String(units[index]), { loadState, activeState, subState })
  }
  return states
}
