import type { Command } from 'commander'
import type { ImageRow } from '../../../operations/images/images.ts'
import { age } from '../../output/age.ts'
import { formatSize } from '../../output/size.ts'
import { formatTable } from '../../output/table.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { type ListOptions, matches, withListOptions } from '../options.ts'

export function listCommand(session: Session): Command {
  const list = resultCommand('list', {
    summary: "list stored images: '>' marks those in use, '*' those without a name",
    examples: ['forerun images list', 'forerun images list --json', 'forerun images list -q -f repository=etcd'],
  })
  return withListOptions(list, { all: 'layers, too, as <none>', keys, whole: 'print ids whole' }).action(
    (options: ListOptions) =>
      perform(
        session,
        async (context) => {
          const { listImages } = await import('../../../operations/images/images.ts')
          return listImages({ all: options.all ?? false }, context).filter((row) => matches({ ...row }, options.filter))
        },
        (rows) => {
          const shownId = (row: ImageRow): string => (options.trunc ? row.id.slice(7, 19) : row.id)
          return session.quiet ? [...new Set(rows.map(shownId))].join('\n') : table(rows, { ...options, shownId })
        },
      ),
  )
}

const keys = ['repository', 'tag', 'id', 'created', 'size', 'type', 'inUse', 'dangling']

const headings = ['', 'REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'VIRTUAL SIZE', 'TYPE']

function table(rows: readonly ImageRow[], options: { heading: boolean; shownId: (row: ImageRow) => string }): string {
  const cells = rows.map((row) => [
    row.inUse ? '>' : row.dangling ? '*' : '',
    row.repository,
    row.tag,
    options.shownId(row),
    row.created === '' ? '' : age(Date.parse(row.created) / 1000),
    formatSize(row.size),
    row.type,
  ])
  return formatTable(headings, cells, { heading: options.heading })
}
