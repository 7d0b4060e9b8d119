import type { Command } from 'commander'
import { perform, resultCommand, type Session } from '../../session.ts'

export function policyCommand(session: Session): Command {
  return resultCommand('policy', {
    summary: 'print or choose to which tags updates of a container may go',
    examples: [
      'forerun containers policy etcd',
      'forerun containers policy etcd patch',
      "forerun containers policy etcd '>=3.5 <3.7'",
      'forerun containers policy etcd tag',
    ],
  })
    .argument('<NAME>', 'name of the container')
    .argument('[POLICY]', 'tag (what is newest under the same tag), patch, minor, major, or a range of versions')
    .action((name: string, policy: string | undefined) =>
      perform(
        session,
        async (context) => {
          const settings = await import('../../../operations/containers/change-update-settings.ts')
          if (policy === undefined) return settings.updateSettingsOf(name, context)
          return await settings.setUpdatePolicy(name, policy, context)
        },
        ({ updatePolicy, pinned }) => `${name}: ${updatePolicy}${pinned ? ', pinned' : ''}`,
      ),
    )
}
