/**
 * The two modules of dbus-next that forerun stands on. The package's own typings cover only its high-level bus, which
 * insists on a `Hello` that systemd's private socket does not know, and which hides the end of the connection.
 */
declare module 'dbus-next/lib/connection.js' {
  import type { EventEmitter } from 'node:events'
  import type { Socket } from 'node:net'
  import type { Message } from 'dbus-next/lib/message-type.js'

  interface MessageConnection extends EventEmitter<{ error: [Error]; message: [Message] }> {
    readonly stream: Socket
    /** Sends; keeps the message until the handshake is over. */
    message(message: Message): void
  }
  function createConnection(options: { busAddress: string; authMethods: string[] }): MessageConnection
  export = createConnection
}

declare module 'dbus-next/lib/message-type.js' {
  interface MessageFields {
    readonly serial?: number
    readonly destination?: string | undefined
    readonly path?: string
    readonly interface?: string
    readonly member?: string
    readonly signature?: string
    readonly body?: readonly unknown[]
  }
  export class Message {
    constructor(fields: MessageFields)
    /** 1 method call, 2 method return, 3 error, 4 signal. */
    readonly type: number
    readonly replySerial: number | undefined
    readonly sender: string | undefined
    readonly path: string | undefined
    readonly interface: string | undefined
    readonly member: string | undefined
    readonly errorName: string | undefined
    readonly body: readonly unknown[]
  }
}

declare module 'dbus-next/lib/variant.js' {
  export class Variant {
    readonly signature: string
    readonly value: unknown
  }
}
