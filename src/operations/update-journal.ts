import { ForerunError } from '../errors.ts'
import { run } from '../host/run.ts'

/** By which systemd's journal finds what became of a container: `journalctl MESSAGE_ID=…`. They never change. */
export const messageIds = {
  updated: '4f08e0bec2ec01b618e8a4fc411d07db',
  'put back': 'd75db234e8c080cd81331def9a931808',
  left: 'b96f5caf1eb87413e844103b3deea3d4',
  failed: 'b1d19cf5f6f6960c52362341a7db0301',
  'rolled back': '84f0f429f0633b9ded2e0a77f6f8e658',
} as const

/** What became of a container. `from` and `to` are ids of images, empty where they are not known. */
export interface UpdateMessage {
  readonly outcome: keyof typeof messageIds
  readonly container: string
  /** Full name of the image that it went to, or did not. */
  readonly image: string
  readonly from: string
  readonly to: string
  readonly reason?: string
}

/** As syslog counts: 3 error, 4 warning, 5 notice, 6 informational. */
const priorities = { updated: 5, 'put back': 4, left: 6, failed: 3, 'rolled back': 5 } as const

/** Writes it to systemd's journal, by logger(1). Where there is neither, nobody wanted to know. */
export async function tellJournal(message: UpdateMessage): Promise<void> {
  try {
    await run('logger', ['--journald'], { input: journalEntry(message), timeout: longest })
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
  }
}

/** Milliseconds; a journal that does not take it in that time keeps nobody. */
const longest = 5000

/** A field a line, as logger(1) reads them. */
export function journalEntry(message: UpdateMessage): string {
  const { outcome, container, image, from, to, reason = '' } = message
  const fields = {
    MESSAGE_ID: messageIds[outcome],
    MESSAGE: words(message),
    PRIORITY: `${priorities[outcome]}`,
    SYSLOG_IDENTIFIER: 'forerun',
    FORERUN_OUTCOME: outcome,
    FORERUN_CONTAINER: container,
    FORERUN_IMAGE: image,
    FORERUN_FROM: from,
    FORERUN_TO: to,
    FORERUN_REASON: reason,
  }
  const lines = Object.entries(fields).filter(([, value]) => value !== '')
  // What a registry or a service said must not add fields of its own.
  return lines.map(([field, value]) => `${field}=${value.replace(/\p{Cc}/gu, ' ')}\n`).join('')
}

function words({ outcome, container, image, from, to, reason = '' }: UpdateMessage): string {
  switch (outcome) {
    case 'updated':
      return `${container} was updated from ${from} to ${image} (${to})`
    case 'rolled back':
      return `${container} was rolled back from ${from} to ${image} (${to})`
    case 'put back':
      return `${container} was put back from ${image} (${to}) to ${from}: ${reason}`
    case 'left':
      return `${container} was left as it is: ${reason}`
    case 'failed':
      return `${container} could not be updated: ${reason}`
  }
}
