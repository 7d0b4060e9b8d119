import type { Command } from 'commander'
import { shortDigest } from '../output/event-line.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { settleOption } from './options.ts'

/** `rollback`, and `containers rollback`. @param path the words before the name, for the examples. */
export function rollbackCommand(session: Session, path: string): Command {
  return resultCommand('rollback', {
    summary: 'take a container back to what it was before its last update; again, and it goes forward',
    examples: [`${path} rollback etcd`],
  })
    .argument('<NAME>', 'name of the container')
    .addOption(settleOption())
    .action((name: string, { settle }: { settle?: number }) =>
      perform(
        session,
        async (context) => {
          const { rollback } = await import('../../operations/containers/rollback.ts')
          return rollback(name, { settle }, context)
        },
        ({ image, to, running }) => `${name}: back to ${image} (${shortDigest(to)})${running ? '; it is running' : ''}`,
      ),
    )
}
