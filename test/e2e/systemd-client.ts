/**
 * A process of its own that talks to a host's systemd: `test/e2e/systemd.test.ts` runs it in the host's process
 * namespace, without which the private socket does not know who asks, or as a user who is not root. Takes one argument, a
 * `ClientRequest` in JSON; prints a `ClientAnswer` for each call in JSON.
 */
import { ForerunError } from '../../src/errors.ts'
import { connectManager } from '../../src/systemd/dbus-manager.ts'

export interface ClientRequest {
  /** To resolve the sockets from; entered before the user changes, who may not be able to. */
  readonly directory: string
  readonly busSocket: string
  readonly privateSocket: string
  /** How many times to connect; the calls go over the last connection. A warm process is faster than systemd reads. */
  readonly connections: number
  /** 0 to remain root. */
  readonly uid: number
  readonly calls: readonly (readonly ['reload'] | readonly ['start' | 'stop' | 'status', string])[]
}

export type ClientAnswer = { value: unknown } | { code: string; message: string }

const request: ClientRequest = JSON.parse(process.argv[2] ?? '')
process.chdir(request.directory)
if (request.uid !== 0) {
  process.setgroups?.([])
  process.setgid?.(request.uid)
  process.setuid?.(request.uid)
}
console.log(JSON.stringify(await answers()))

async function answers(): Promise<ClientAnswer[]> {
  const all: ClientAnswer[] = []
  try {
    const { busSocket, privateSocket } = request
    for (let count = 1; count < request.connections; count++) {
      await using manager = await connectManager({ emit: () => {}, busSocket, privateSocket })
      await manager.statuses(['-.mount'])
    }
    await using manager = await connectManager({ emit: () => {}, busSocket, privateSocket })
    for (const call of request.calls) {
      all.push(await answer(() => (call[0] === 'reload' ? manager.reload() : manager[call[0]](call[1]))))
    }
    return all
  } catch (error) {
    return [told(error)]
  }
}

async function answer(run: () => Promise<unknown>): Promise<ClientAnswer> {
  try {
    return { value: (await run()) ?? null }
  } catch (error) {
    return told(error)
  }
}

function told(error: unknown): ClientAnswer {
  if (!(error instanceof ForerunError)) throw error
  return { code: error.code, message: error.message }
}
