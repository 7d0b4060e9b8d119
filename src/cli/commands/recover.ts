import type { Command } from 'commander'
import type { JudgedTrial } from '../../operations/recover-host.ts'
import { perform, resultCommand, type Session } from '../session.ts'

export function recoverCommand(session: Session): Command {
  return resultCommand('recover', {
    summary:
      'end what commands left that were killed, and judge updates on trial; a boot does it when there is something to do',
    examples: ['forerun recover'],
  }).action(() =>
    perform(
      session,
      async (context) => {
        const { recoverHost } = await import('../../operations/recover-host.ts')
        const judged = await recoverHost(context)
        if (judged.some(({ outcome }) => outcome === 'down')) process.exitCode = 1
        return judged
      },
      (judged) => judged.map(describe).join('\n'),
    ),
  )
}

function describe({ operation, container, outcome }: JudgedTrial): string {
  return `${container}: '${operation}' ${outcomes[outcome]}`
}

const outcomes = {
  confirmed: 'holds: the service is up',
  'taken back': 'was taken back: the service runs as before',
  down: 'was taken back, and the service is not up',
} as const
