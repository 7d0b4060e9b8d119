import type { Command } from 'commander'
import { command, perform, type Session } from '../session.ts'

export function stopCommand(session: Session): Command {
  return command('stop', {
    summary: 'stop the service of a container, and wait until it has ended',
    examples: ['forerun stop etcd'],
  })
    .argument('<NAME>', 'name of the container')
    .action((name: string) =>
      perform(
        session,
        async (context) => {
          const { stopContainer } = await import('../../operations/containers/service.ts')
          return stopContainer(name, context)
        },
        () => '',
      ),
    )
}
