import type { Command } from 'commander'
import type { ContainerInspection } from '../../../operations/containers/inspect-container.ts'
import { age } from '../../output/age.ts'
import { printable } from '../../output/printable.ts'
import { privilegeLines } from '../../output/privilege-lines.ts'
import { formatTable } from '../../output/table.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { stateWords } from './state-words.ts'

export function infoCommand(session: Session): Command {
  return resultCommand('info', {
    summary:
      'print all of a container: image, state, deployments, values, privileges, and the files that it put on the host',
    examples: ['forerun containers info etcd', 'forerun containers info --json etcd'],
  })
    .argument('<NAME>', 'name of the container')
    .action((name: string) =>
      perform(
        session,
        async (context) => {
          const { inspectContainer } = await import('../../../operations/containers/inspect-container.ts')
          return inspectContainer(name, context)
        },
        describe,
      ),
    )
}

function describe(container: ContainerInspection): string {
  const { other, since, health } = container
  const state = stateWords(container)
  const fields = [
    ['Name', container.container],
    ['Image', container.image],
    ['Image id', container.imageId],
    ['Digest', container.digest],
    ['State', since === 0 ? state : `${state}, ${age(since)}`],
    ...(health === null ? [] : [['Health', health.detail === '' ? health.state : `${health.state}: ${health.detail}`]]),
    ...(container.unitFileState === '' ? [] : [['At boot', container.unitFileState]]),
    ['Deployment', `${container.folder}, ${age(container.created)}`],
    ['Other one', other === null ? 'none' : `${other.folder}, ${age(other.created)}: ${other.image} ${other.imageId}`],
    ...(container.rootfs === null ? [] : [['Root', container.rootfs]]),
    ...(container.checkout === null ? [] : [['Checkout', container.checkout]]),
    ['Runtime', container.runtime],
    ['Updates', `${container.updatePolicy}${container.pinned ? ', pinned' : ''}`],
  ]
  const values = Object.entries(container.values).map(
    ([key, value]) => `  ${key}=${value === null ? '(secret)' : printable(value)}`,
  )
  const files = container.files.map(({ path, role, state: found }) => [path, role, found])
  return [
    ...fields.map(([label = '', value = '']) => `${`${label}:`.padEnd(12)}${printable(value)}`),
    ...(values.length === 0 ? [] : ['Values:', ...values]),
    ...(!container.privileges?.length
      ? []
      : ['Privileges (! gives power over the host):', ...privilegeLines(container.privileges).map(indented)]),
    ...(files.length === 0
      ? []
      : ['Files on the host:', indented(formatTable(['', '', ''], files, { heading: false }))]),
  ].join('\n')
}

function indented(text: string): string {
  return text.replace(/^/gm, '  ')
}
