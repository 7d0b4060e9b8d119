import type { Command } from 'commander'
import { perform, resultCommand, type Session } from '../../session.ts'

export function deleteCommand(session: Session): Command {
  return resultCommand('delete', {
    summary: 'take names from stored images, and remove those that have none left',
    examples: ['forerun images delete registry.example.com/etcd:3.5', 'forerun images delete 3f0c1e9b2a77'],
  })
    .argument('<IMAGE...>', 'names or ids of stored images')
    .option('-f, --force', 'those that containers use, too; the containers keep their files')
    .action((images: string[], options: { force?: boolean }) =>
      perform(
        session,
        async (context) => {
          const { deleteImages } = await import('../../../operations/images.ts')
          return deleteImages(images, { force: options.force ?? false }, context)
        },
        ({ untagged, deleted }) =>
          [...untagged.map((name) => `Untagged: ${name}`), ...deleted.map((id) => `Deleted: ${id}`)].join('\n'),
      ),
    )
}
