import type { Command } from 'commander'
import type { ImageVersion } from '../../../operations/image-version.ts'
import { printable } from '../../output/printable.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { type LookOptions, withLookOptions } from './look-options.ts'

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
        const { imageVersion } = await import('../../../operations/image-version.ts')
        return imageVersion(image, { ...options, remote }, context)
      },
      describe,
    ),
  )
}

function describe({ name, version, release }: ImageVersion): string {
  if (version === undefined) return `${printable(name)}: the image tells no version`
  return printable([name, version, release].filter((part) => part !== undefined).join('-'))
}
