import { type Command, Option } from 'commander'
import { perform, resultCommand, type Session } from '../session.ts'
import { parseBoolean } from './option-values.ts'

export function pullCommand(session: Session): Command {
  return resultCommand('pull', {
    summary: 'fetch an image into the store',
    examples: [
      'forerun pull registry.example.com/etcd:3.5',
      'forerun pull --tls-verify=false registry.example.com:5000/etcd',
    ],
  })
    .argument('<IMAGE>', 'an image in a registry')
    .addOption(
      new Option('--tls-verify [BOOL]', 'check certificates; false also allows plain HTTP').argParser(parseBoolean),
    )
    .action((image: string, options: { tlsVerify?: boolean }) =>
      perform(
        session,
        async (context) => {
          const { pull } = await import('../../operations/pull.ts')
          return pull(image, { tlsVerify: options.tlsVerify }, context)
        },
        (result) => result.id,
      ),
    )
}
