import type { Command } from 'commander'
import { perform, resultCommand, type Session } from '../../session.ts'

export function pinCommand(session: Session): Command {
  const command = resultCommand('pin', {
    summary: 'keep containers as they are: update --all passes over them',
    examples: ['forerun containers pin etcd'],
  })
  return pinning(command, { session, pinned: true })
}

export function unpinCommand(session: Session): Command {
  const command = resultCommand('unpin', {
    summary: 'let containers be updated again',
    examples: ['forerun containers unpin etcd'],
  })
  return pinning(command, { session, pinned: false })
}

function pinning(command: Command, { session, pinned }: { session: Session; pinned: boolean }): Command {
  return command.argument('<NAME...>', 'names of containers').action((names: string[]) =>
    perform(
      session,
      async (context) => {
        const { pinContainers } = await import('../../../operations/containers/change-update-settings.ts')
        return pinContainers(names, pinned, context)
      },
      (results) => results.map(({ name }) => `${name}: ${pinned ? 'pinned' : 'not pinned'}`).join('\n'),
    ),
  )
}
