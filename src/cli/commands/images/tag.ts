import type { Command } from 'commander'
import { perform, resultCommand, type Session } from '../../session.ts'

export function tagCommand(session: Session): Command {
  return resultCommand('tag', {
    summary: 'give a stored image a further name',
    examples: ['forerun images tag registry.example.com/etcd:3.5 etcd:stable'],
  })
    .argument('<IMAGE>', 'name or id of a stored image')
    .argument('<NAME>', 'the further name')
    .action((image: string, name: string) =>
      perform(
        session,
        async (context) => {
          const { tagImage } = await import('../../../operations/images/images.ts')
          return tagImage(image, name, context)
        },
        (result) => result.name,
      ),
    )
}
