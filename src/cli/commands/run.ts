import type { Command } from 'commander'
import { command, perform, type Session } from '../session.ts'

export function runCommand(session: Session): Command {
  return command('run', {
    summary: 'start the service of a container, and wait until it is up',
    examples: ['forerun run etcd'],
  })
    .argument('<NAME>', 'name of the container')
    .action((name: string) =>
      perform(
        session,
        async (context) => {
          const { startContainer } = await import('../../operations/containers/service.ts')
          return startContainer(name, context)
        },
        () => '',
      ),
    )
}
