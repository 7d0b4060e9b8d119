/**
 * Bytes from one thread to one other, in order, through shared memory: nothing is allocated for a piece, and no event loop
 * has to turn. The memory is made once and handed to both threads.
 *
 * Waking a thread costs more than a piece of work: one that waits for bytes sleeps until half of the slots are full or
 * there are no more, and one that waits for room until half of them are empty.
 */
export type ByteChannel = SharedArrayBuffer

/** @param options.slots how many pieces of up to `slotSize` bytes wait at most; an even number. */
export function byteChannel({ slots, slotSize }: { slots: number; slotSize: number }): ByteChannel {
  const memory = new SharedArrayBuffer(headerBytes(slots) + slots * slotSize)
  const control = new Int32Array(memory, 0, fields.lengths)
  control[fields.slots] = slots
  control[fields.slotSize] = slotSize
  return memory
}

export interface ChannelSender {
  /** Waits for room, holding the thread. @throws an error of which `isChannelClosed` is true */
  send(bytes: Buffer): void
  /** As `send`, while the event loop goes on. */
  sendLater(bytes: Buffer): Promise<void>
  /** After the last bytes. */
  end(): void
}

export function channelSender(channel: ByteChannel): ChannelSender {
  const { control, lengths, slot, slots, slotSize, half } = viewOf(channel)
  let sent = 0

  function hasRoom(): boolean {
    throwWhenClosed(control)
    return sent - Atomics.load(control, fields.received) < slots
  }

  function put(bytes: Buffer, start: number): number {
    const length = Math.min(slotSize, bytes.length - start)
    const index = sent % slots
    bytes.copy(slot(index), 0, start, start + length)
    lengths[index] = length
    Atomics.store(control, fields.sent, ++sent)
    if (sent - Atomics.load(control, fields.received) === half) wake(control)
    return start + length
  }

  return {
    send(bytes) {
      for (let at = 0; at < bytes.length; ) {
        for (let turn = turnOf(control); !hasRoom(); turn = turnOf(control)) Atomics.wait(control, fields.turn, turn)
        at = put(bytes, at)
      }
    },
    async sendLater(bytes) {
      for (let at = 0; at < bytes.length; ) {
        for (let turn = turnOf(control); !hasRoom(); turn = turnOf(control)) {
          await Atomics.waitAsync(control, fields.turn, turn).value
        }
        at = put(bytes, at)
      }
    },
    end() {
      Atomics.compareExchange(control, fields.state, states.open, states.ended)
      wake(control)
    },
  }
}

export interface ChannelReceiver {
  /**
   * The next bytes, which are valid until the next call; undefined after the last ones. Waits for them, holding the thread.
   *
   * @throws an error of which `isChannelClosed` is true
   */
  receive(): Buffer | undefined
}

export function channelReceiver(channel: ByteChannel): ChannelReceiver {
  const { control, lengths, slot, slots, half } = viewOf(channel)
  let received = 0
  let holds = false
  return {
    receive() {
      if (holds) {
        holds = false
        Atomics.store(control, fields.received, ++received)
        if (Atomics.load(control, fields.sent) - received === half) wake(control)
      }
      for (let turn = turnOf(control); Atomics.load(control, fields.sent) === received; turn = turnOf(control)) {
        throwWhenClosed(control)
        if (Atomics.load(control, fields.state) === states.ended) {
          if (Atomics.load(control, fields.sent) === received) return undefined
        } else Atomics.wait(control, fields.turn, turn)
      }
      throwWhenClosed(control)
      holds = true
      const index = received % slots
      return slot(index).subarray(0, lengths[index])
    },
  }
}

/** For whoever knows that it leads nowhere: the next call of either side throws, unless all has been sent. */
export function closeChannel(channel: ByteChannel): void {
  const { control } = viewOf(channel)
  Atomics.compareExchange(control, fields.state, states.open, states.closed)
  wake(control)
}

/** Whether it is the error of one who found the channel closed, also when it comes from another thread. */
export function isChannelClosed(error: unknown): boolean {
  return error instanceof Error && error.name === closedName
}

const closedName = 'ChannelClosed'

const fields = { turn: 0, sent: 1, received: 2, state: 3, slots: 4, slotSize: 5, lengths: 6 } as const
const states = { open: 0, ended: 1, closed: 2 } as const

/** Slots begin at a page. */
function headerBytes(slots: number): number {
  return Math.ceil(((fields.lengths + slots) * Int32Array.BYTES_PER_ELEMENT) / 4096) * 4096
}

function viewOf(channel: ByteChannel) {
  const control = new Int32Array(channel, 0, fields.lengths)
  const slots = control[fields.slots] as number
  const slotSize = control[fields.slotSize] as number
  const lengths = new Int32Array(channel, fields.lengths * Int32Array.BYTES_PER_ELEMENT, slots)
  const views = Array.from({ length: slots }, (_, index) =>
    Buffer.from(channel, headerBytes(slots) + index * slotSize, slotSize),
  )
  return { control, lengths, slots, slotSize, half: slots / 2, slot: (index: number) => views[index] as Buffer }
}

/** Counts everything that happens, so that nobody sleeps through a change that came just before. */
function turnOf(control: Int32Array): number {
  return Atomics.load(control, fields.turn)
}

function wake(control: Int32Array): void {
  Atomics.add(control, fields.turn, 1)
  Atomics.notify(control, fields.turn)
}

function throwWhenClosed(control: Int32Array): void {
  if (Atomics.load(control, fields.state) === states.closed) {
    throw Object.assign(new Error('the channel is closed'), { name: closedName })
  }
}
