import { basename } from 'node:path'
import type { Command } from 'commander'
import type { ContainerRow, OtherDeployment } from '../../operations/containers/list-containers.ts'
import { age } from '../output/age.ts'
import { formatTable } from '../output/table.ts'
import { groupCommand, perform, resultCommand, type Session } from '../session.ts'
import { adoptCommand } from './containers/adopt.ts'
import { diffCommand } from './containers/diff.ts'
import { infoCommand } from './containers/info.ts'
import { pinCommand, unpinCommand } from './containers/pin.ts'
import { policyCommand } from './containers/policy.ts'
import { stateWords } from './containers/state-words.ts'
import { type ListOptions, matches, withListOptions } from './options.ts'
import { rollbackCommand } from './rollback.ts'
import { updateCommand } from './update.ts'

export function containersCommand(session: Session): Command {
  return groupCommand('containers', {
    summary: 'look at, update and remove containers',
    examples: ['forerun containers list --all', 'forerun containers update etcd', 'forerun containers delete etcd'],
  })
    .addCommand(listCommand(session))
    .addCommand(infoCommand(session))
    .addCommand(diffCommand(session))
    .addCommand(updateCommand(session, 'forerun containers'))
    .addCommand(rollbackCommand(session, 'forerun containers'))
    .addCommand(pinCommand(session))
    .addCommand(unpinCommand(session))
    .addCommand(policyCommand(session))
    .addCommand(adoptCommand(session))
    .addCommand(deleteCommand(session))
}

const keys = ['container', 'image', 'command', 'created', 'state', 'runtime', 'backend', 'type', 'repo']

/** What filters compare. Project Atomic's tool had containers of ostree and of Docker; those of ostree are what these are. */
function filtered(row: ContainerRow): Record<string, string | string[]> {
  const { container, image, command, created, state, runtime } = row
  const backend = ['forerun', 'ostree']
  return { container, image, command, created: `${created}`, state, runtime, backend, type: backend, repo: image }
}

function listCommand(session: Session): Command {
  const list = resultCommand('list', {
    summary: 'list the containers that are running, or all',
    examples: [
      'forerun containers list',
      'forerun containers list --all --json',
      'forerun containers list -f state=failed -a',
    ],
  })
  return withListOptions(list, {
    all: 'those that are not running, too',
    keys,
    whole: 'print commands whole',
  }).action((options: ListOptions) =>
    perform(
      session,
      async (context) => {
        const { listContainers } = await import('../../operations/containers/list-containers.ts')
        const rows = await listContainers(context)
        return rows.filter((row) => (options.all || row.state === 'running') && matches(filtered(row), options.filter))
      },
      (rows) => (session.quiet ? rows.map(({ container }) => container).join('\n') : table(rows, options)),
    ),
  )
}

const headings = ['CONTAINER ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATE', 'BACKEND', 'RUNTIME']

function table(rows: readonly ContainerRow[], options: ListOptions): string {
  const cells = rows.flatMap((row) => [
    rowCells(row, options),
    ...(options.all && row.other !== null ? [otherCells(row, row.other)] : []),
  ])
  return formatTable(headings, cells, { heading: options.heading })
}

function rowCells(row: ContainerRow, options: ListOptions): string[] {
  return [
    row.container,
    row.image,
    options.trunc ? truncated(row.command) : row.command,
    age(row.created),
    stateWords(row),
    row.backend,
    row.runtime,
  ]
}

/** What a rollback goes to, below its container. */
function otherCells({ backend, runtime }: ContainerRow, other: OtherDeployment): string[] {
  return [basename(other.folder), other.image, '', age(other.created), 'for rollback', backend, runtime]
}

function truncated(text: string): string {
  return text.length > 30 ? `${text.slice(0, 29)}…` : text
}

function deleteCommand(session: Session): Command {
  return resultCommand('delete', {
    summary: 'uninstall containers',
    examples: ['forerun containers delete etcd flannel', 'forerun containers delete --all --force'],
  })
    .argument('[NAME...]', 'names of containers')
    .option('-a, --all', 'all containers')
    .option('-f, --force', 'do not ask whether to delete all')
    .action((names: string[], options: { all?: boolean; force?: boolean }) =>
      perform(
        session,
        async (context) => {
          const { deleteContainers } = await import('../../operations/containers/delete-containers.ts')
          return deleteContainers(
            names,
            { all: options.all ?? false, force: options.force ?? session.assumeYes },
            context,
          )
        },
        (results) => results.map(({ name }) => name).join('\n'),
      ),
    )
}
