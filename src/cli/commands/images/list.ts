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
          const rows = listImages({ all: options.all ?? false }, context)
          return rows.map(listed).filter((row) => matches(filtered(row), options.filter))
        },
        (rows) => {
          const shownId = (row: ImageRow): string => (options.trunc ? row.id.slice(7, 19) : row.id)
          return session.quiet ? [...new Set(rows.map(shownId))].join('\n') : table(rows, { ...options, shownId })
        },
      ),
  )
}

/** With a key that scripts of Project Atomic's tool read: the size as a text. */
type ListedImage = ImageRow & { readonly virtual_size: string }

function listed(row: ImageRow): ListedImage {
  return { ...row, virtual_size: formatSize(row.size) }
}

const keys = ['repo', 'repository', 'image', 'tag', 'id', 'created', 'size', 'type', 'backend', 'inUse', 'dangling']

/** What filters compare. To scripts of Project Atomic's tool all that is stored is of the type `ostree`. */
function filtered(row: ListedImage): Record<string, string | string[]> {
  const { repo, repository, tag, id, created, size, type, inUse, dangling, virtual_size } = row
  const names = { repo: [repo, repository], repository, image: [`${repo}:${tag}`, `${repository}:${tag}`], tag }
  const sizes = [`${size}`, virtual_size]
  const kinds = { type: [type, 'ostree'], backend: ['forerun', 'ostree'] }
  return { ...names, ...kinds, id, created, size: sizes, inUse: `${inUse}`, dangling: `${dangling}` }
}

const headings = ['', 'REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'VIRTUAL SIZE', 'TYPE']

function table(rows: readonly ImageRow[], options: { heading: boolean; shownId: (row: ImageRow) => string }): string {
  const cells = rows.map((row) => [
    row.inUse ? '>' : row.dangling ? '*' : '',
    row.repo,
    row.tag,
    options.shownId(row),
    row.created === '' ? '' : age(Date.parse(row.created) / 1000),
    formatSize(row.size),
    row.type,
  ])
  return formatTable(headings, cells, { heading: options.heading })
}
