import { fstatSync, writeSync } from 'node:fs'
import { pino } from 'pino'
import type { Emit, ForerunEvent } from '../../events.ts'
import { fieldsWithoutCredentials, printable, withoutCredentials } from './printable.ts'

/**
 * Makes the listener that logs events. Nothing is logged without `debug`. With it, everything goes to standard error
 * (or `fd`): as lines for people on a terminal, with priorities (`<7>`, see sd-daemon(3)) when that is the journal, and
 * else as JSON, a record per line. Writing is synchronous: what was logged is out before a crash. Records hold no
 * credential.
 */
export function diagnostics({ debug, fd = 2, isTTY = process.stderr.isTTY }: DiagnosticsOptions): Emit {
  if (!debug) return () => {}
  const form = isTTY ? 'terminal' : isJournal(fd) ? 'journal' : 'json'
  const logger = pino(
    {
      level: 'debug',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => writeWhole(fd, form === 'json' ? line : readableLine(line, form)) },
  )
  return (event) => {
    const record = logRecord(event)
    if (record !== undefined) {
      logger[record.level](fieldsWithoutCredentials(record.fields), withoutCredentials(record.message))
    }
  }
}

export interface DiagnosticsOptions {
  readonly debug: boolean
  readonly fd?: number
  readonly isTTY?: boolean
}

/** Whether systemd says that what we write on `fd` goes to the journal (`JOURNAL_STREAM`, systemd.exec(5)). */
function isJournal(fd: number): boolean {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  return process.env.JOURNAL_STREAM === `${dev}:${ino}`
}

/** A pipe that is full says EAGAIN if its other end made it non-blocking; it will have room again. */
function writeWhole(fd: number, line: string): void {
  for (let rest = Buffer.from(line); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPIPE') return
      if (code !== 'EAGAIN') throw error
      Atomics.wait(pause, 0, 0, 5)
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4))

function readableLine(line: string, form: 'terminal' | 'journal'): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as { level: Level; time: string; msg: string }
  const words = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const text = printable(`${msg}${words.join('')}`)
  if (form === 'journal') return `<${priorities[level]}>${text}\n`
  return `${time.slice(11, 23)} ${level.padEnd(5)} ${text}\n`
}

type Level = 'debug' | 'info' | 'warn' | 'error'

const priorities = { error: 3, warn: 4, info: 6, debug: 7 }

function logRecord(
  event: ForerunEvent,
): { level: Level; message: string; fields: Record<string, unknown> } | undefined {
  switch (event.type) {
    case 'layer-progress': // Many a second.
      return undefined
    case 'debug':
      return { level: 'debug', message: event.message, fields: event.fields ?? {} }
    case 'step':
    case 'notice':
      return { level: 'info', message: event.message, fields: {} }
    case 'undo-failed':
      return { level: 'error', message: event.message, fields: { event: event.type, code: event.code } }
    default: {
      const { type, ...fields } = event
      return { level: type === 'retry' ? 'warn' : 'debug', message: type, fields }
    }
  }
}
