import { ForerunError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { type Connection, type MethodCall, openConnection, type Reply } from './connection.ts'

/** A connection on whose other end systemd has answered. */
export interface Session {
  readonly connection: Connection
  /** Calls systemd, whichever way it is reached. Errors are those of `Connection.call`. */
  call(call: Omit<MethodCall, 'destination'>, options?: { timeout?: number }): Promise<Reply>
  /** Has systemd tell the end of jobs on this connection; once is enough. To be awaited before a job is queued. */
  subscribe(): Promise<void>
  /** Hears of every job that ends, once subscribed, until the returned function is called. */
  onJobRemoved(listener: (job: string, result: string) => void): () => void
}

export interface SessionOptions {
  /** Aborts the connecting, nothing later. */
  readonly signal?: AbortSignal | undefined
  readonly emit: Emit
  readonly busSocket: string
  readonly privateSocket: string
}

export const managerInterface = 'org.freedesktop.systemd1.Manager'
export const managerPath = '/org/freedesktop/systemd1'
const managerName = 'org.freedesktop.systemd1'
const bus = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', interface: 'org.freedesktop.DBus' }

/**
 * How long a socket may leave the first calls unanswered, in milliseconds. A bus that systemd has not started yet accepts
 * connections and keeps silent: its socket is systemd's own until then.
 */
const firstAnswer = 10_000

/** Sessions one after another, each for as long as its connection lasts. */
export interface Sessions {
  /** The session in use, or a new one when the connection of that was lost. Errors are those of `openSessions`. */
  current(): Promise<Session>
  close(): void
}

/**
 * Reaches systemd over the system bus, else over its private socket, which is there before the bus and for root alone.
 * @throws ForerunError `systemd` when neither leads to a systemd, `permission`, `interrupted`.
 */
export async function openSessions(options: SessionOptions): Promise<Sessions> {
  let session = await openSession(options)
  let next: Promise<Session> | undefined
  let closed = false
  return {
    async current() {
      if (closed) throw new Error('the systemd manager was closed')
      if (session.connection.alive) return session
      next ??= openSession({ ...options, signal: undefined }).finally(() => {
        next = undefined
      })
      session = await next
      return session
    },
    close() {
      closed = true
      session.connection.close()
    },
  }
}

async function openSession(options: SessionOptions): Promise<Session> {
  const { emit, busSocket, privateSocket } = options
  try {
    return await overBus(options)
  } catch (busError) {
    refuseInterrupted(options.signal)
    emit({
      type: 'debug',
      message: 'no systemd on the system bus',
      fields: { socket: busSocket, reason: reason(busError) },
    })
    try {
      return await overPrivateSocket(options)
    } catch (privateError) {
      refuseInterrupted(options.signal)
      emit({
        type: 'debug',
        message: 'no private socket',
        fields: { socket: privateSocket, reason: reason(privateError) },
      })
      throw unreachable(options, busError, privateError)
    }
  }
}

async function overBus({ busSocket, signal, emit }: SessionOptions): Promise<Session> {
  const connection = openConnection(busSocket)
  const timeout = firstAnswer
  // Pipelined: the bus treats calls in their order. Only the last answer comes from systemd.
  const [, , { sender }] = await firstCalls(connection, signal, [
    connection.call({ ...bus, member: 'Hello' }, { timeout }),
    connection.call({ ...bus, member: 'AddMatch', signature: 's', body: [ownerRule] }, { timeout }),
    connection.call({ ...ping, destination: managerName }, { timeout }),
  ])
  // Anyone may send signals on the system bus; systemd's are known by its unique name, which a restart of it changes.
  let owner = sender
  connection.onSignal((received) => {
    if (received.sender !== bus.destination || received.member !== 'NameOwnerChanged') return
    if (received.body[0] === managerName) owner = String(received.body[2])
  })
  emit({ type: 'debug', message: 'reached systemd', fields: { socket: busSocket } })
  return session(connection, {
    destination: managerName,
    async match() {
      await connection.call({ ...bus, member: 'AddMatch', signature: 's', body: [jobRule] })
    },
    isSystemd: (from) => from === owner,
  })
}

const ping = { path: managerPath, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' }
const ownerRule = `type='signal',sender='${bus.destination}',member='NameOwnerChanged',arg0='${managerName}'`
const jobRule = `type='signal',sender='${managerName}',interface='${managerInterface}',member='JobRemoved'`

async function overPrivateSocket({ privateSocket, signal, emit }: SessionOptions): Promise<Session> {
  const connection = openConnection(privateSocket)
  const stopNudging = nudge(connection)
  try {
    await firstCalls(connection, signal, [connection.call(ping, { timeout: firstAnswer })])
  } finally {
    stopNudging()
  }
  emit({ type: 'debug', message: 'reached systemd', fields: { socket: privateSocket } })
  return session(connection, { destination: undefined, match: async () => {}, isSystemd: () => true })
}

/**
 * Calls again, at growing intervals, until stopped. As a server, systemd leaves alone what it has read together with the end
 * of the authentication until more bytes arrive (seen with 252 and 262), and so would not answer a single first call.
 */
function nudge(connection: Connection): () => void {
  let wait = 2
  let timer = setTimeout(function again() {
    connection.call(ping, { timeout: firstAnswer }).catch(() => {}) // the first call tells what is wrong
    wait *= 2
    timer = setTimeout(again, wait)
  }, wait)
  return () => clearTimeout(timer)
}

/** Closes the connection unless all are answered. */
async function firstCalls<Calls extends readonly Promise<Reply>[]>(
  connection: Connection,
  signal: AbortSignal | undefined,
  calls: [...Calls],
): Promise<{ [Index in keyof Calls]: Reply }> {
  const close = (): void => connection.close()
  signal?.addEventListener('abort', close, { once: true })
  if (signal?.aborted) close()
  try {
    return await Promise.all(calls)
  } catch (error) {
    close()
    throw error
  } finally {
    signal?.removeEventListener('abort', close)
  }
}

function session(
  connection: Connection,
  way: {
    destination: string | undefined
    match: () => Promise<void>
    isSystemd: (sender: string | undefined) => boolean
  },
): Session {
  const { destination } = way
  let subscribed: Promise<unknown> | undefined
  return {
    connection,
    call: (call, options) => connection.call({ ...call, destination }, options),
    async subscribe() {
      const subscribe = { destination, path: managerPath, interface: managerInterface, member: 'Subscribe' }
      subscribed ??= Promise.all([way.match(), connection.call(subscribe)]).catch((error) => {
        connection.close() // the next job gets a new one, and asks anew
        throw error
      })
      await subscribed
    },
    onJobRemoved: (listener) =>
      connection.onSignal(({ sender, interface: of, member, body }) => {
        if (member !== 'JobRemoved' || of !== managerInterface || !way.isSystemd(sender)) return
        const [, job, , result] = body
        listener(String(job), String(result))
      }),
  }
}

function refuseInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new ForerunError('interrupted', 'interrupted while connecting to systemd', { cause: signal.reason })
}

function unreachable(options: SessionOptions, busError: unknown, privateError: unknown): ForerunError {
  const errors = [busError, privateError]
  const cause = new AggregateError(errors, errors.map(reason).join('; '))
  if (errors.some((error) => code(error) === 'EACCES' || code(error) === 'EPERM')) {
    return new ForerunError('permission', 'not allowed to talk to systemd', { hint: 'Run forerun as root.', cause })
  }
  if (errors.every((error) => code(error) === 'ENOENT')) {
    const message = `systemd does not run here: there is neither ${options.busSocket} nor ${options.privateSocket}`
    return new ForerunError('systemd', message, { hint: 'Run forerun on a host that systemd booted.', cause })
  }
  return new ForerunError('systemd', `cannot reach systemd: ${reason(busError)}; ${reason(privateError)}`, {
    hint: 'See if the bus and systemd answer: systemctl status dbus.service',
    cause,
  })
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Of the system call behind a lost connection. */
function code(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}
