import type { Command } from 'commander'
import { ForerunError } from '../../../errors.ts'
import type { SourceOptions } from '../../../operations/context.ts'
import type { DeleteImagesResult } from '../../../operations/images/images.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { withSourceOptions } from '../options.ts'

interface Options extends SourceOptions {
  readonly force?: boolean
  readonly remote?: boolean
}

export function deleteCommand(session: Session): Command {
  const command = resultCommand('delete', {
    summary:
      'take names from stored images, and remove those that have none left; or delete images from their registry',
    examples: [
      'forerun images delete registry.example.com/etcd:3.5',
      'forerun images delete 3f0c1e9b2a77',
      'forerun images delete --remote registry.example.com/etcd:3.5',
    ],
  })
    .argument('<IMAGE...>', 'names or ids of stored images; with --remote, whole names')
    .option('-f, --force', 'those that containers use, too; the containers keep their files')
    .option('--remote', 'delete from the registry, with all tags of the same image, and leave the store as it is')
  return withSourceOptions(command).action(
    (images: string[], { force = false, remote = false, ...options }: Options) => {
      if (remote) return deleteFromRegistry(session, images, options)
      return perform(
        session,
        async (context) => {
          const { deleteImages } = await import('../../../operations/images/images.ts')
          return deleteImages(images, { force }, context)
        },
        describe,
      )
    },
  )
}

function describe({ untagged, deleted }: DeleteImagesResult): string {
  return [...untagged.map((name) => `Untagged: ${name}`), ...deleted.map((id) => `Deleted: ${id}`)].join('\n')
}

/** One at a time: of several, those before a failure would be gone without a word. */
function deleteFromRegistry(session: Session, images: readonly string[], options: SourceOptions): Promise<void> {
  const [image, ...others] = images
  if (image === undefined || others.length > 0) {
    throw new ForerunError('usage', '--remote deletes one image at a time', { hint: 'Name one image.' })
  }
  return perform(
    session,
    async (context) => {
      const { deleteRemoteImage } = await import('../../../operations/images/delete-remote-image.ts')
      return deleteRemoteImage(image, options, context)
    },
    ({ name, digest }) => `Deleted: ${name} (${digest})`,
  )
}
