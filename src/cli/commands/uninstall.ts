import type { Command } from 'commander'
import { perform, resultCommand, type Session } from '../session.ts'

export function uninstallCommand(session: Session): Command {
  return resultCommand('uninstall', {
    summary: 'stop a container and remove it from the host; host files that were modified are kept',
    examples: ['forerun uninstall etcd'],
  })
    .argument('<NAME>', 'name of the container')
    .action((name: string) =>
      perform(
        session,
        async (context) => {
          const { uninstall } = await import('../../operations/containers/uninstall.ts')
          return uninstall(name, context)
        },
        (result) => `Uninstalled ${result.name}.`,
      ),
    )
}
