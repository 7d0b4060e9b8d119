/**
 * Bytes from one thread to others, each of which receives all of them, in order, through shared memory: nothing is
 * allocated for a piece, and no event loop has to turn. The memory is made once and handed to all threads.
 *
 * Waking a thread costs more than a piece of work: one that waits for bytes sleeps until half of the slots are full, or the
 * sender has no room or no more, and one that waits for room until half of them are empty.
 */
export type ByteChannel = SharedArrayBuffer

export interface ChannelSize {
  /** How many pieces wait at most; an even number. */
  readonly slots: number
  /** Bytes of a piece. */
  readonly slotSize: number
}

/** @param receivers how many threads receive, each under its own number from 0 on. */
export function byteChannel({ slots, slotSize }: ChannelSize, { receivers = 1 } = {}): ByteChannel {
  const memory = new SharedArrayBuffer(headerBytes(slots, receivers) + slots * slotSize)
  const control = new Int32Array(memory, 0, fields.received)
  control[fields.slots] = slots
  control[fields.slotSize] = slotSize
  control[fields.receivers] = receivers
  return memory
}

/** The bytes of a slot go when it is full, or with the end. Every function throws an error of which `isChannelClosed` is true. */
export interface ChannelSender {
  /** Where the next bytes may be put: at least one. Waits for room, holding the thread. */
  room(): Buffer
  /** So many bytes have been put where `room` said. */
  filled(length: number): void
  /** Copies bytes to where there is room. */
  send(bytes: Buffer): void
  /** As `send`, while the event loop goes on. */
  sendLater(bytes: Buffer): Promise<void>
  /** After the last bytes. */
  end(): void
}

export function channelSender(channel: ByteChannel): ChannelSender {
  const { control, received, lengths, slot, slots, slotSize, half } = viewOf(channel)
  let sent = 0
  /** Bytes in the slot that is being filled. */
  let length = 0

  /** The turn to wait for when there is no room, undefined when there is. */
  function fullSince(): number | undefined {
    const turn = turnOf(control)
    throwWhenClosed(control)
    return length > 0 || sent - slowest(received) < slots ? undefined : turn
  }

  function free(): Buffer {
    return slot(sent % slots).subarray(length)
  }

  function filled(more: number): void {
    length += more
    if (length === slotSize) pass()
  }

  function pass(): void {
    lengths[sent % slots] = length
    length = 0
    Atomics.store(control, fields.sent, ++sent)
    // Whoever sleeps with less than half has to take that before more can come.
    const isFull = sent - slowest(received) === slots
    if (isFull || received.some((_, index) => sent - Atomics.load(received, index) === half)) wake(control)
  }

  function put(bytes: Buffer, start: number): number {
    const copied = bytes.copy(free(), 0, start)
    filled(copied)
    return start + copied
  }

  function waitForRoom(): void {
    for (let turn = fullSince(); turn !== undefined; turn = fullSince()) Atomics.wait(control, fields.turn, turn)
  }

  return {
    room() {
      waitForRoom()
      return free()
    },
    filled,
    send(bytes) {
      for (let at = 0; at < bytes.length; ) {
        waitForRoom()
        at = put(bytes, at)
      }
    },
    async sendLater(bytes) {
      for (let at = 0; at < bytes.length; ) {
        for (let turn = fullSince(); turn !== undefined; turn = fullSince()) {
          await Atomics.waitAsync(control, fields.turn, turn).value
        }
        at = put(bytes, at)
      }
    },
    end() {
      if (length > 0) pass()
      Atomics.compareExchange(control, fields.state, states.open, states.ended)
      wake(control)
    },
  }
}

/** Every function throws an error of which `isChannelClosed` is true. */
export interface ChannelReceiver {
  /** The next bytes, which are valid until the next call; undefined after the last ones. Waits for them, holding the thread. */
  receive(): Buffer | undefined
  /** As `receive`, while the event loop goes on. */
  receiveLater(): Promise<Buffer | undefined>
}

/** @param number of the receiver: 0 where there is but one. */
export function channelReceiver(channel: ByteChannel, number = 0): ChannelReceiver {
  const { control, received, lengths, slot, slots, half } = viewOf(channel)
  let taken = 0
  let holds = false

  function release(): void {
    if (!holds) return
    holds = false
    Atomics.store(received, number, ++taken)
    // Only the slowest one makes room.
    if (Atomics.load(control, fields.sent) - taken === half && slowest(received) === taken) wake(control)
  }

  /** The turn to wait for when nothing is there and more may come, else undefined. */
  function emptySince(): number | undefined {
    const turn = turnOf(control)
    const hasEnded = Atomics.load(control, fields.state) === states.ended
    throwWhenClosed(control)
    return hasEnded || Atomics.load(control, fields.sent) > taken ? undefined : turn
  }

  function next(): Buffer | undefined {
    if (Atomics.load(control, fields.sent) === taken) return undefined
    holds = true
    const index = taken % slots
    return slot(index).subarray(0, lengths[index])
  }

  return {
    receive() {
      release()
      for (let turn = emptySince(); turn !== undefined; turn = emptySince()) Atomics.wait(control, fields.turn, turn)
      return next()
    },
    async receiveLater() {
      release()
      for (let turn = emptySince(); turn !== undefined; turn = emptySince()) {
        await Atomics.waitAsync(control, fields.turn, turn).value
      }
      return next()
    },
  }
}

/** For whoever knows that it leads nowhere: the next call of any side throws, unless all has been sent. */
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

/** From `received` on there is a number for each receiver, and then the length of each slot. */
const fields = { turn: 0, sent: 1, state: 2, slots: 3, slotSize: 4, receivers: 5, received: 6 } as const
const states = { open: 0, ended: 1, closed: 2 } as const

/** Slots begin at a page. */
function headerBytes(slots: number, receivers: number): number {
  return Math.ceil(((fields.received + receivers + slots) * Int32Array.BYTES_PER_ELEMENT) / 4096) * 4096
}

function viewOf(channel: ByteChannel) {
  const control = new Int32Array(channel, 0, fields.received)
  const slots = control[fields.slots] as number
  const slotSize = control[fields.slotSize] as number
  const receivers = control[fields.receivers] as number
  const received = new Int32Array(channel, fields.received * Int32Array.BYTES_PER_ELEMENT, receivers)
  const lengths = new Int32Array(channel, (fields.received + receivers) * Int32Array.BYTES_PER_ELEMENT, slots)
  const views = Array.from({ length: slots }, (_, index) =>
    Buffer.from(channel, headerBytes(slots, receivers) + index * slotSize, slotSize),
  )
  return {
    control,
    received,
    lengths,
    slots,
    slotSize,
    half: slots / 2,
    slot: (index: number) => views[index] as Buffer,
  }
}

/** How many slots every receiver is done with. */
function slowest(received: Int32Array): number {
  let least = Atomics.load(received, 0)
  for (let index = 1; index < received.length; index++) least = Math.min(least, Atomics.load(received, index))
  return least
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
