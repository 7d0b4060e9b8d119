import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import {
  byteChannel,
  channelReceiver,
  channelSender,
  closeChannel,
  isChannelClosed,
} from '../../src/host/byte-channel.ts'

let other: Worker
before(() => {
  other = new Worker(new URL('./byte-channel-thread.ts', import.meta.url))
})
after(() => other.terminate())

const small = { slots: 4, slotSize: 1000 }

test('bytes arrive in their order, however they are cut', async () => {
  const bytes = randomBytes(300_000)
  const channel = byteChannel(small)
  other.postMessage({ act: 'receive', channel })
  const answer = once(other, 'message')
  const sender = channelSender(channel)
  for (let at = 0; at < bytes.length; ) {
    const length = Math.floor(Math.random() * 2500)
    await sender.sendLater(bytes.subarray(at, at + length))
    at += length
  }
  sender.end()
  assert.deepEqual(await answer, [{ result: createHash('sha256').update(bytes).digest('hex') }])
})

test('every receiver gets all bytes, the slow one as the quick one', async () => {
  const bytes = randomBytes(300_000)
  const channel = byteChannel(small, { receivers: 2 })
  other.postMessage({ act: 'receive', channel })
  const answer = once(other, 'message')
  const sending = (async () => {
    const sender = channelSender(channel)
    await sender.sendLater(bytes)
    sender.end()
  })()
  const { receiveLater } = channelReceiver(channel, 1)
  const received: Buffer[] = []
  for (let piece = await receiveLater(); piece !== undefined; piece = await receiveLater()) {
    received.push(Buffer.from(piece))
    if (received.length % 50 === 0) await pause(2)
  }
  await sending
  assert.deepEqual(Buffer.concat(received), bytes)
  assert.deepEqual(await answer, [{ result: createHash('sha256').update(bytes).digest('hex') }])
})

test('bytes are put where they go, and go when a slot is full', () => {
  const channel = byteChannel(small)
  const sender = channelSender(channel)
  const { receive } = channelReceiver(channel)
  assert.equal(sender.room().length, 1000)
  sender.filled(sender.room().write('a'.repeat(600)))
  assert.equal(sender.room().length, 400)
  sender.filled(sender.room().write('b'.repeat(400)))
  assert.equal(receive()?.toString(), `${'a'.repeat(600)}${'b'.repeat(400)}`)
})

test('a sender that pauses, and a receiver that sleeps meanwhile, go on', async () => {
  const channel = byteChannel(small)
  const back = byteChannel(small)
  other.postMessage({ act: 'echo', channel, back })
  const answer = once(other, 'message')
  const sender = channelSender(channel)
  for (const text of ['one ', 'two ', 'three']) {
    await sender.sendLater(Buffer.from(text))
    await pause(20)
  }
  sender.end()
  await answer
  const { receive } = channelReceiver(back)
  let text = ''
  for (let bytes = receive(); bytes !== undefined; bytes = receive()) text += bytes.toString()
  assert.equal(text, 'one two three')
})

test('nothing but an end is nothing', async () => {
  const channel = byteChannel(small)
  channelSender(channel).end()
  assert.equal(channelReceiver(channel).receive(), undefined)
})

test('what was sent before the end is received after it', () => {
  const channel = byteChannel(small)
  const sender = channelSender(channel)
  sender.send(Buffer.from('last'))
  sender.end()
  const { receive } = channelReceiver(channel)
  assert.equal(receive()?.toString(), 'last')
  assert.equal(receive(), undefined)
})

test('closing wakes a receiver that sleeps', async () => {
  const channel = byteChannel(small)
  other.postMessage({ act: 'receive', channel })
  const answer = once(other, 'message')
  await pause(50)
  closeChannel(channel)
  assert.deepEqual(await answer, [{ name: 'ChannelClosed' }])
})

test('closing wakes a sender that waits for room', async () => {
  const channel = byteChannel(small)
  const answer = once(other, 'message')
  const sending = channelSender(channel).sendLater(randomBytes(100_000))
  other.postMessage({ act: 'close after one', channel })
  await assert.rejects(sending, isChannelClosed)
  await answer
})
