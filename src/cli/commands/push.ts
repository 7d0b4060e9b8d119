import type { Command } from 'commander'
import type { PushOptions } from '../../operations/transfer/push.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { withSourceOptions } from './options.ts'

export function pushCommand(session: Session): Command {
  const pushing = resultCommand('push', {
    summary: 'write an image of the store to a registry, an OCI layout or an archive of one',
    examples: [
      'forerun push registry.example.com/etcd:3.5',
      'forerun push etcd:3.5 registry.example.com/copies/etcd:3.5',
      'forerun push etcd:3.5 oci:/srv/images/etcd:3.5',
    ],
  })
    .argument('<IMAGE>', 'an image in the store, by name or id')
    .argument(
      '[DESTINATION]',
      'where to: a name in a registry, oci:DIR[:NAME], or oci-archive:FILE[:NAME] (default: its own name)',
    )
    .option('--digestfile <FILE>', "write the manifest's digest to this file")
  return withSourceOptions(pushing).action(
    (image: string, destination: string | undefined, options: Omit<PushOptions, 'destination'>) =>
      perform(
        session,
        async (context) => {
          const { push } = await import('../../operations/transfer/push.ts')
          return push(image, destination === undefined ? options : { ...options, destination }, context)
        },
        (result) => result.manifest,
      ),
  )
}
