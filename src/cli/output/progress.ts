import type { Emit } from '../../events.ts'
import { eventLine, shortDigest } from './event-line.ts'
import { layerBar } from './layer-bar.ts'
import { type Transfer, transfer } from './transfer.ts'

/** Presents a running command on standard error; nothing of it is a result. */
export interface Progress {
  readonly emit: Emit
  /** Takes the bars from the screen and restores the cursor. May be called again. */
  end(): void
}

/**
 * On a terminal a bar for each layer that is being fetched, redrawn at most ten times a second, below the lines of what
 * is done; elsewhere lines alone. With `quiet` only that undoing has failed, which leaves work to the user.
 */
export function progress({ quiet, plain = false, stderr = process.stderr }: ProgressOptions): Progress {
  if (quiet) {
    const emit: Emit = (event) => void (event.type === 'undo-failed' && stderr.write(`${eventLine(event, false)}\n`))
    return { emit, end() {} }
  }
  return stderr.isTTY === true && !plain ? bars(stderr) : lines(stderr)
}

export interface ProgressOptions {
  readonly quiet: boolean
  /** Lines on a terminal, too: where something else writes there, as `--debug` does. */
  readonly plain?: boolean
  readonly stderr?: Screen
}

export type Screen = NodeJS.WritableStream & {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

function lines(stderr: Screen): Progress {
  const emit: Emit = (event) => {
    const line = eventLine(event, false)
    if (line !== undefined) stderr.write(`${line}\n`)
  }
  return { emit, end() {} }
}

function bars(stderr: Screen): Progress {
  const layers = new Map<string, Transfer>()
  let height = 0
  let lastDrawn = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined

  /** The bars are taken away, lines printed where they were, and the bars drawn anew below. */
  function draw(finished = ''): void {
    clearTimeout(timer)
    timer = undefined
    const now = performance.now()
    lastDrawn = now
    const width = stderr.columns || 80
    const shown = [...layers].slice(0, Math.max(1, (stderr.rows || 24) - 1))
    const text = shown.map(([digest, layer]) => `${layerBar(shortDigest(digest), layer.state(now), width)}\n`).join('')
    const cursor = height === 0 && shown.length > 0 ? hideCursor : height > 0 && shown.length === 0 ? showCursor : ''
    stderr.write(`${cursor}${takenAway(height)}${finished}${text}`)
    height = shown.length
  }

  function drawSoon(): void {
    const wait = lastDrawn + redrawInterval - performance.now()
    if (wait <= 0) draw()
    else timer ??= setTimeout(draw, wait).unref()
  }

  function end(): void {
    process.removeListener('exit', end)
    layers.clear()
    if (height > 0) draw()
    clearTimeout(timer)
  }

  // A crash must not leave the terminal without a cursor.
  process.on('exit', end)
  const emit: Emit = (event) => {
    if (event.type === 'layer-progress') {
      layers.get(event.digest)?.add(event.received, performance.now())
      drawSoon()
      return
    }
    if (event.type === 'layer-started') layers.set(event.digest, transfer(event.size, performance.now()))
    if (event.type === 'layer-finished' || event.type === 'layer-pushed') layers.delete(event.digest)
    const line = eventLine(event, true)
    if (line !== undefined) draw(`${line}\n`)
    else if (event.type === 'layer-started') drawSoon()
  }
  return { emit, end }
}

/** Milliseconds. */
const redrawInterval = 100
const hideCursor = '\x1b[?25l'
const showCursor = '\x1b[?25h'

/** Goes up to the first of some lines, and clears from there to the end of the screen. */
function takenAway(height: number): string {
  return height === 0 ? '' : `\x1b[${height}A\r\x1b[J`
}
