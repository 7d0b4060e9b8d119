import type { ForerunEvent } from '../../events.ts'
import { printable } from './printable.ts'
import { formatSize } from './size.ts'

/** The line that an event is to people; undefined for one that only bars or logs show. */
export function eventLine(event: ForerunEvent, withBars: boolean): string | undefined {
  switch (event.type) {
    case 'image-resolved': {
      const size = formatSize(event.layers.reduce((sum, layer) => sum + layer.size, 0))
      return printable(
        `${event.reference}: ${shortDigest(event.digest)}, ${plural(event.layers.length, 'layer')}, ${size}`,
      )
    }
    case 'layer-started':
      if (event.kept > 0)
        return `Layer ${shortDigest(event.digest)}: going on at ${formatSize(event.kept)} of ${formatSize(event.size)}`
      return withBars
        ? undefined
        : `Layer ${shortDigest(event.digest)}: ${event.sending ? 'sending' : 'fetching'} ${formatSize(event.size)}`
    case 'layer-finished':
      return `Layer ${shortDigest(event.digest)}: ${event.stored ? 'in the store already' : 'done'}`
    case 'layer-pushed':
      return `Layer ${shortDigest(event.digest)}: ${pushOutcomes[event.outcome]}`
    case 'retry':
      return printable(`Trying again in ${formatSeconds(event.delay)} (attempt ${event.attempt}): ${event.reason}`)
    case 'step':
    case 'notice':
      return printable(event.message)
    case 'recovered':
      return printable(`An earlier command that was cut short has been ${event.outcome}: ${event.operation}.`)
    case 'undo-failed':
      return printable(`Could not undo everything: ${event.message}`)
    case 'layer-progress':
    case 'change':
    case 'committed':
    case 'on-trial':
    case 'debug':
      return undefined
  }
}

const pushOutcomes = { present: 'there already', mounted: 'mounted from another repository', sent: 'done' } as const

/** Twelve digits, as engines show ids. */
export function shortDigest(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 12)
}

function plural(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${count} ${word}s`
}

function formatSeconds(milliseconds: number): string {
  return `${Number((milliseconds / 1000).toPrecision(2))} s`
}
