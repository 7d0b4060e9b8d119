import { createHash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { type ByteChannel, channelReceiver, channelSender, closeChannel } from '../../src/host/byte-channel.ts'

/** The other side of a channel, for byte-channel.test.ts. */
interface Request {
  readonly act: 'receive' | 'echo' | 'close after one'
  readonly channel: ByteChannel
  readonly back?: ByteChannel
}

parentPort?.on('message', (request: Request) => {
  try {
    parentPort?.postMessage({ result: perform(request) })
  } catch (error) {
    parentPort?.postMessage({ name: error instanceof Error ? error.name : String(error) })
  }
})

function perform({ act, channel, back }: Request): string {
  const { receive } = channelReceiver(channel)
  const sender = back && channelSender(back)
  const hash = createHash('sha256')
  for (let bytes = receive(); bytes !== undefined; bytes = receive()) {
    hash.update(bytes)
    if (act === 'echo') sender?.send(bytes)
    if (act === 'close after one') {
      closeChannel(channel)
      break
    }
  }
  sender?.end()
  return hash.digest('hex')
}
