import type { Command } from 'commander'
import { ForerunError } from '../../../errors.ts'
import type { AdoptionResult } from '../../../operations/containers/adopt.ts'
import { printable } from '../../output/printable.ts'
import { perform, resultCommand, type Session } from '../../session.ts'

export function adoptCommand(session: Session): Command {
  return resultCommand('adopt', {
    summary: "take over containers that Project Atomic's tool installed; their services run on",
    examples: ['forerun containers adopt etcd', 'forerun containers adopt --all'],
  })
    .argument('[NAME...]', 'names of containers')
    .option('-a, --all', 'all containers of that tool')
    .action(async (names: string[], { all = false }: { all?: boolean }) => {
      if (names.length > 0 === all) {
        throw new ForerunError('usage', all ? '--all and names at once' : 'no container is named', {
          hint: 'Name containers, or say --all for all of them.',
        })
      }
      await perform(
        session,
        async (context) => {
          const { adoptContainers } = await import('../../../operations/containers/adopt.ts')
          const results = await adoptContainers(names, context)
          if (results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1
          return results
        },
        (results) => results.map(describe).join('\n'),
      )
    })
}

function describe(result: AdoptionResult): string {
  const { name } = result
  switch (result.outcome) {
    case 'present':
      return `${name}: taken over already`
    case 'failed':
      return `${name}: failed: ${printable(result.reason)}`
    case 'adopted':
      return `${name}: taken over${result.running ? '; it runs on' : ''}`
  }
}
