import type { Command } from 'commander'
import { formatSize } from '../../output/size.ts'
import { perform, resultCommand, type Session } from '../../session.ts'

export function pruneCommand(session: Session): Command {
  return resultCommand('prune', {
    summary: 'remove images that have neither a name nor a container, and what no image needs',
    examples: ['forerun images prune'],
  }).action(() =>
    perform(
      session,
      async (context) => {
        const { pruneImages } = await import('../../../operations/images/images.ts')
        return pruneImages(context)
      },
      ({ deleted, bytes }) => [...deleted.map((id) => `Deleted: ${id}`), `Freed: ${formatSize(bytes)}`].join('\n'),
    ),
  )
}
