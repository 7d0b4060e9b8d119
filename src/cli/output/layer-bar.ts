import { formatSize } from './size.ts'
import type { TransferState } from './transfer.ts'

/**
 * One line of less than `width` columns: `name [====>    ]  1.2MB/5MB  3MB/s  2s`. On a narrow terminal first the bar
 * goes, then the time left, then the speed.
 */
export function layerBar(name: string, state: TransferState, width: number): string {
  const amounts = `${formatSize(state.received).padStart(6)}/${formatSize(state.size)}`
  const speed = state.speed === undefined ? '' : `${formatSize(state.speed)}/s`
  const left = state.left === undefined ? '' : formatTime(state.left)
  const columns = [amounts.padEnd(14), speed.padStart(9), left.padStart(8)]
  const room = width - 1 - name.length - columns.join('  ').length - 6
  if (room >= 8)
    return `${name}  [${bar(state, Math.min(room, 50))}]  ${columns.join('  ')}`.slice(0, width - 1).trimEnd()
  for (let count = columns.length; count > 0; count--) {
    const line = [name, ...columns.slice(0, count)].join('  ')
    if (line.length < width) return line.trimEnd()
  }
  return `${name} ${amounts.trim()}`.slice(0, Math.max(0, width - 1))
}

function bar({ received, size }: TransferState, width: number): string {
  const done = size === 0 ? width : Math.min(width, Math.floor((received / size) * width))
  return done === width ? '='.repeat(width) : `${'='.repeat(done)}>`.padEnd(width)
}

function formatTime(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`
  return whole < 360_000
    ? `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`
    : ''
}
