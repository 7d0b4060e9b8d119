import type { Command } from 'commander'
import { perform, resultCommand, type Session } from '../session.ts'
import { withTlsOption } from './options.ts'

export function pullCommand(session: Session): Command {
  const fetching = resultCommand('pull', {
    summary: 'fetch an image into the store',
    examples: [
      'forerun pull registry.example.com/etcd:3.5',
      'forerun pull --tls-verify=false registry.example.com:5000/etcd',
    ],
  })
  return withTlsOption(fetching.argument('<IMAGE>', 'an image in a registry')).action(
    (image: string, options: { tlsVerify?: boolean }) =>
      perform(
        session,
        async (context) => {
          const { pull } = await import('../../operations/pull.ts')
          return pull(image, options, context)
        },
        (result) => result.id,
      ),
  )
}
