import type { Command } from 'commander'
import type { ImageInfo } from '../../operations/image-info.ts'
import type { ImageRow } from '../../operations/images.ts'
import { age } from '../output/age.ts'
import { formatSize } from '../output/size.ts'
import { formatTable } from '../output/table.ts'
import { groupCommand, perform, resultCommand, type Session } from '../session.ts'
import { type ListOptions, matches, withListOptions } from './options.ts'

export function imagesCommand(session: Session): Command {
  return groupCommand('images', {
    summary: 'look at, name and remove stored images',
    examples: ['forerun images list', 'forerun images info etcd', 'forerun images prune'],
  })
    .addCommand(listCommand(session))
    .addCommand(infoCommand(session))
    .addCommand(tagCommand(session))
    .addCommand(deleteCommand(session))
    .addCommand(pruneCommand(session))
}

const keys = ['repository', 'tag', 'id', 'created', 'size', 'type', 'inUse', 'dangling']

function listCommand(session: Session): Command {
  const list = resultCommand('list', {
    summary: "list stored images: '>' marks those in use, '*' those without a name",
    examples: ['forerun images list', 'forerun images list --json', 'forerun images list -q -f repository=etcd'],
  })
  return withListOptions(list, { all: 'layers, too, as <none>', keys, whole: 'print ids whole' }).action(
    (options: ListOptions) =>
      perform(
        session,
        async (context) => {
          const { listImages } = await import('../../operations/images.ts')
          return listImages({ all: options.all ?? false }, context).filter((row) => matches({ ...row }, options.filter))
        },
        (rows) => {
          const shownId = (row: ImageRow): string => (options.trunc ? row.id.slice(7, 19) : row.id)
          return session.quiet ? [...new Set(rows.map(shownId))].join('\n') : table(rows, { ...options, shownId })
        },
      ),
  )
}

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

function infoCommand(session: Session): Command {
  return resultCommand('info', {
    summary: 'print the labels of a stored image and the variables of its templates',
    examples: ['forerun images info etcd'],
  })
    .argument('<IMAGE>', 'name or id of a stored image')
    .action((image: string) =>
      perform(
        session,
        async (context) => {
          const { imageInfo } = await import('../../operations/image-info.ts')
          return imageInfo(image, context)
        },
        describeInfo,
      ),
    )
}

function describeInfo(info: ImageInfo): string {
  const pairs = (values: Readonly<Record<string, string>>): string[] =>
    Object.entries(values).map(([key, value]) => `${key}: ${value}`)
  return [
    `Image Name: ${info.names.join(', ') || '<none>'}`,
    `Image Id: ${info.id}`,
    `Digest: ${info.manifest}`,
    ...pairs(info.labels),
    ...(Object.keys(info.variables).length === 0
      ? []
      : ['', 'Template variables with default value, but overridable with --set:', ...pairs(info.variables)]),
    ...(info.required.length === 0
      ? []
      : ['', 'Template variables that has no default value, and must be set with --set:', ...info.required]),
  ].join('\n')
}

function tagCommand(session: Session): Command {
  return resultCommand('tag', {
    summary: 'give a stored image a further name',
    examples: ['forerun images tag registry.example.com/etcd:3.5 etcd:stable'],
  })
    .argument('<IMAGE>', 'name or id of a stored image')
    .argument('<NAME>', 'the further name')
    .action((image: string, name: string) =>
      perform(
        session,
        async (context) => {
          const { tagImage } = await import('../../operations/images.ts')
          return tagImage(image, name, context)
        },
        (result) => result.name,
      ),
    )
}

function deleteCommand(session: Session): Command {
  return resultCommand('delete', {
    summary: 'take names from stored images, and remove those that have none left',
    examples: ['forerun images delete registry.example.com/etcd:3.5', 'forerun images delete 3f0c1e9b2a77'],
  })
    .argument('<IMAGE...>', 'names or ids of stored images')
    .option('-f, --force', 'those that containers use, too; the containers keep their files')
    .action((images: string[], options: { force?: boolean }) =>
      perform(
        session,
        async (context) => {
          const { deleteImages } = await import('../../operations/images.ts')
          return deleteImages(images, { force: options.force ?? false }, context)
        },
        ({ untagged, deleted }) =>
          [...untagged.map((name) => `Untagged: ${name}`), ...deleted.map((id) => `Deleted: ${id}`)].join('\n'),
      ),
    )
}

function pruneCommand(session: Session): Command {
  return resultCommand('prune', {
    summary: 'remove images that have neither a name nor a container, and what no image needs',
    examples: ['forerun images prune'],
  }).action(() =>
    perform(
      session,
      async (context) => {
        const { pruneImages } = await import('../../operations/images.ts')
        return pruneImages(context)
      },
      ({ deleted, bytes }) => [...deleted.map((id) => `Deleted: ${id}`), `Freed: ${formatSize(bytes)}`].join('\n'),
    ),
  )
}
