import type { Command } from 'commander'
import { command, perform, type Session } from '../session.ts'

export function runCommand(session: Session): Command {
  return command('run', {
    summary: 'start the service of a container, and wait until it is up; or run a command in one that runs',
    examples: ['forerun run etcd', 'forerun run etcd sh', 'forerun run etcd etcdctl endpoint health'],
  })
    .passThroughOptions()
    .argument('<NAME>', 'name of the container')
    .argument('[COMMAND...]', 'a command with its own options, to be run in the container')
    .action((name: string, words: string[]) =>
      perform(
        session,
        async (context) => {
          const { runInContainer, startContainer } = await import('../../operations/containers/service.ts')
          if (words.length === 0) await startContainer(name, context)
          else process.exitCode = await runInContainer(name, words, context)
        },
        () => '',
      ),
    )
}
