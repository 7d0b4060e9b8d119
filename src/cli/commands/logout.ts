import type { Command } from 'commander'
import { ForerunError } from '../../errors.ts'
import type { LogoutResult } from '../../operations/access/logout.ts'
import { perform, resultCommand, type Session } from '../session.ts'

export function logoutCommand(session: Session): Command {
  return resultCommand('logout', {
    summary: 'forget the credentials for a registry',
    examples: ['forerun logout registry.example.com', 'forerun logout --all'],
  })
    .argument('[REGISTRY[/NAMESPACE]]', 'a registry, or the part of it that the credentials are for')
    .option('-a, --all', 'forget the credentials for all registries')
    .option('--authfile <FILE>', 'forget what is in this file (default: the one that login writes)')
    .action((registry: string | undefined, { all = false, authfile }: { all?: boolean; authfile?: string }) =>
      perform(
        session,
        async (context) => {
          if (all === (registry !== undefined)) {
            throw new ForerunError('usage', all ? '--all goes without a registry' : 'a registry is needed, or --all', {
              hint: 'See: forerun logout --help',
            })
          }
          const { logout } = await import('../../operations/access/logout.ts')
          return logout({ registry, authfile }, context)
        },
        describe,
      ),
    )
}

function describe({ removed }: LogoutResult): string {
  if (removed.length === 0) return 'There were no credentials.'
  return removed.map(({ registry, place }) => `Removed the credentials for ${registry} from ${place}.`).join('\n')
}
