import createConnection from 'dbus-next/lib/connection.js'
import { Message } from 'dbus-next/lib/message-type.js'

/** One D-Bus connection, to a bus or straight to a peer. Nothing is emitted as an 'error' event: calls reject. */
export interface Connection {
  /** False once the other side is gone; every later call rejects with `ConnectionLost`. */
  readonly alive: boolean
  /**
   * Calls a method and returns the reply. @throws Refusal for an error reply, ConnectionLost when the connection ends
   * first, CallTimeout.
   */
  call(call: MethodCall, options?: { timeout?: number }): Promise<Reply>
  /** Hears every signal until the returned function is called. The listener must not throw. */
  onSignal(listener: (signal: Signal) => void): () => void
  /** Rejects, once, when the connection ends; never resolves. Its rejection need not be handled. */
  readonly lost: Promise<never>
  close(): void
}

export interface MethodCall {
  /** Absent on a connection without a bus. */
  readonly destination?: string | undefined
  readonly path: string
  readonly interface: string
  readonly member: string
  /** D-Bus signature of `body`. */
  readonly signature?: string
  readonly body?: readonly unknown[]
}

export interface Reply {
  readonly sender: string | undefined
  readonly body: readonly unknown[]
}

export interface Signal {
  readonly sender: string | undefined
  readonly path: string | undefined
  readonly interface: string | undefined
  readonly member: string | undefined
  readonly body: readonly unknown[]
}

/** An error reply. `error` is its D-Bus name, `message` the other side's text. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly error: string

  constructor(error: string, text: string) {
    super(text || error)
    this.error = error
  }
}

/** The connection could not be made, or ended. The `cause` is the socket's error where there is one. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

export class CallTimeout extends Error {
  override readonly name = 'CallTimeout'
}

/** How long a call may take, in milliseconds, where the caller says nothing. */
const defaultTimeout = 90_000

/** D-Bus specification, "Message Protocol": message types. */
const messageType = { methodReturn: 2, error: 3, signal: 4 }

/**
 * Connects to a Unix socket and authenticates as the process's own uid (D-Bus specification, "EXTERNAL"). Returns at
 * once: that the connection stands is known when the first call has been answered, and it is that call which rejects
 * when there is no such socket. `socket` must not hold the delimiters of a D-Bus address.
 */
export function openConnection(socket: string): Connection {
  if (/[,:;=]/.test(socket)) throw new Error(`not a path for a D-Bus address: ${socket}`)
  const wire = createConnection({ busAddress: `unix:socket=${socket}`, authMethods: ['EXTERNAL'] })
  const pending = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>()
  const listeners = new Set<(signal: Signal) => void>()
  const { promise: lost, reject: rejectLost } = Promise.withResolvers<never>()
  lost.catch(() => {}) // every call reports it; this promise is for those who wait for something else
  let failure: ConnectionLost | undefined
  let serial = 0

  function fail(reason: string, cause?: unknown): void {
    if (failure !== undefined) return
    failure = new ConnectionLost(reason, cause === undefined ? {} : { cause })
    for (const { reject } of pending.values()) reject(failure)
    pending.clear()
    rejectLost(failure)
    wire.stream.destroy()
  }

  wire.on('error', (error) => fail(error.message, error))
  wire.stream.on('close', () => fail('the connection was closed by the other side'))
  refuseShortReads(wire.stream, () => fail('the connection ended in the middle of a message'))
  wire.on('message', (message) => {
    if (message.type === messageType.signal) {
      for (const listener of listeners) listener(message)
      return
    }
    if (message.replySerial === undefined) return
    const call = pending.get(message.replySerial)
    pending.delete(message.replySerial)
    if (message.type === messageType.methodReturn) call?.resolve(message)
    if (message.type === messageType.error) call?.reject(refusal(message))
  })

  return {
    lost,
    get alive() {
      return failure === undefined
    },
    async call(call, { timeout = defaultTimeout } = {}) {
      if (failure !== undefined) throw failure
      const own = ++serial
      const { promise, resolve, reject } = Promise.withResolvers<Reply>()
      pending.set(own, { resolve, reject })
      const timer = setTimeout(() => {
        pending.delete(own)
        reject(new CallTimeout(`${call.member} was not answered within ${timeout / 1000} seconds`))
      }, timeout)
      try {
        wire.message(new Message({ ...call, serial: own }))
        return await promise
      } finally {
        clearTimeout(timer)
        pending.delete(own)
      }
    },
    onSignal(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close() {
      fail('the connection was closed')
    },
  }
}

/**
 * After its end a stream hands out what is left, however little. The library takes that for a whole message and throws
 * where nobody can catch; a bus that is killed while it writes would end the process.
 */
function refuseShortReads(stream: { read(size?: number): Buffer | null }, onShort: () => void): void {
  const read = stream.read.bind(stream)
  stream.read = (size) => {
    const bytes = read(size)
    if (bytes === null || size === undefined || bytes.length >= size) return bytes
    onShort()
    return null
  }
}

function refusal(message: Message): Refusal {
  const [text] = message.body
  return new Refusal(message.errorName ?? 'unnamed', typeof text === 'string' ? text : '')
}
