import type { Command } from 'commander'
import type { SourceOptions } from '../../operations/context.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { withPlatformOption, withSourceOptions } from './options.ts'

export function pullCommand(session: Session): Command {
  const fetching = resultCommand('pull', {
    summary: 'fetch an image into the store',
    examples: [
      'forerun pull registry.example.com/etcd:3.5',
      'forerun pull --tls-verify=false registry.example.com:5000/etcd',
      'forerun pull --platform linux/arm64 --creds ann registry.example.com/etcd',
    ],
  })
  withPlatformOption(
    fetching.argument('<IMAGE>', 'an image in a registry, or oci:DIR, docker-archive:FILE, …; see forerun(1)'),
    'fetch the image for this platform',
  )
  return withSourceOptions(fetching).action((image: string, options: SourceOptions) =>
    perform(
      session,
      async (context) => {
        const { pull } = await import('../../operations/transfer/pull.ts')
        return pull(image, options, context)
      },
      (result) => result.id,
    ),
  )
}
