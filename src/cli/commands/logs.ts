import type { Command } from 'commander'
import { command, perform, type Session } from '../session.ts'

export function logsCommand(session: Session): Command {
  return command('logs', {
    summary: 'show what a container has written to the journal',
    examples: ['forerun logs etcd', 'forerun logs etcd --follow --lines=20', 'forerun logs etcd --boot'],
  })
    .passThroughOptions()
    .argument('<NAME>', 'name of the container')
    .argument('[OPTION...]', 'options of journalctl(1)')
    .action((name: string, words: string[]) =>
      perform(
        session,
        async (context) => {
          const { showLogs } = await import('../../operations/containers/service.ts')
          process.exitCode = await showLogs(name, words, context)
        },
        () => '',
      ),
    )
}
