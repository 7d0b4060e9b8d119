import type { Command } from 'commander'
import type { FileDifference } from '../../../operations/containers/diff-container.ts'
import { printable, printableText } from '../../output/printable.ts'
import { perform, resultCommand, type Session } from '../../session.ts'

export function diffCommand(session: Session): Command {
  return resultCommand('diff', {
    summary: 'print what was changed of the files that a container put on the host',
    examples: ['forerun containers diff etcd'],
  })
    .argument('<NAME>', 'name of the container')
    .action((name: string) =>
      perform(
        session,
        async (context) => {
          const { diffContainer } = await import('../../../operations/containers/diff-container.ts')
          return diffContainer(name, context)
        },
        (differences) => differences.map(describe).join('\n'),
      ),
    )
}

function describe({ path, state, difference }: FileDifference): string {
  return difference === '' ? `${state}: ${printable(path)}` : printableText(difference).trimEnd()
}
