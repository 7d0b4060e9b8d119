import type { Command } from 'commander'
import { printableJson } from '../../output/printable.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { type LookOptions, withLookOptions } from './look-options.ts'

export function inspectCommand(session: Session): Command {
  const inspect = resultCommand('inspect', {
    summary: 'print all that an image says of itself, as JSON',
    examples: ['forerun images inspect etcd', 'forerun images inspect --remote oci:/srv/etcd:3.5'],
  })
  return withLookOptions(inspect).action((image: string, { remote = false, ...options }: LookOptions) =>
    perform(
      session,
      async (context) => {
        const { inspectImage } = await import('../../../operations/images/inspect-image.ts')
        return inspectImage(image, { ...options, remote }, context)
      },
      printableJson,
    ),
  )
}
