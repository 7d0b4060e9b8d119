import type { Command } from 'commander'
import { perform, resultCommand, type Session } from '../../session.ts'
import { type LookOptions, withLookOptions } from './look-options.ts'
import { versionText } from './version-text.ts'

export function versionCommand(session: Session): Command {
  const version = resultCommand('version', {
    summary:
      'print name, version and release of an image, from its labels; of one that is not stored, from its registry',
    examples: ['forerun images version etcd', 'forerun images version --remote registry.example.com/etcd'],
  })
  return withLookOptions(version).action((image: string, { remote = false, ...options }: LookOptions) =>
    perform(
      session,
      async (context) => {
        const { imageVersion } = await import('../../../operations/images/image-version.ts')
        return imageVersion(image, { ...options, remote }, context)
      },
      versionText,
    ),
  )
}
