import { type Command, Option } from 'commander'
import { ForerunError } from '../../errors.ts'
import type { SourceOptions } from '../../operations/context.ts'
import type { MountedTree } from '../../store/mount-record.ts'
import { formatTable } from '../output/table.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { withSourceOptions } from './options.ts'

interface Options extends SourceOptions {
  readonly live?: boolean
  readonly shared?: boolean
}

export function mountCommand(session: Session): Command {
  const mounting = resultCommand('mount', {
    summary: 'mount a container or an image read-only at an empty directory; or list what is mounted so',
    examples: [
      'forerun mount etcd /mnt',
      'forerun mount registry.example.com/etcd:3.5 /mnt',
      'forerun mount',
      'forerun umount /mnt',
    ],
  })
    .argument('[IMAGE|NAME]', "a container's name, or an image: it is pulled if it is not stored")
    .argument('[DIR]', 'an empty directory')
    .addOption(new Option('--live', 'for scripts of Project Atomic').hideHelp())
    .addOption(new Option('--shared', 'for scripts of Project Atomic').hideHelp())
  return withSourceOptions(mounting).action(
    (source: string | undefined, directory: string | undefined, { live, shared: _, ...options }: Options) => {
      if (live) refuseLive()
      if (source === undefined) return list(session)
      if (directory === undefined) throw withoutDirectory(source)
      return perform(
        session,
        async (context) => {
          const { mount } = await import('../../operations/containers/mount.ts')
          return mount({ ...options, source: withoutScheme(source), directory }, context)
        },
        () => '',
      )
    },
  )
}

export function umountCommand(session: Session): Command {
  return resultCommand('umount', {
    summary: 'end what forerun mount has mounted at a directory',
    examples: ['forerun umount /mnt'],
  })
    .alias('unmount')
    .argument('<DIR>', 'where it is mounted')
    .action((directory: string) =>
      perform(
        session,
        async (context) => {
          const { unmount } = await import('../../operations/containers/unmount.ts')
          return unmount(directory, context)
        },
        () => '',
      ),
    )
}

function list(session: Session): Promise<void> {
  return perform(
    session,
    async (context) => {
      const { listMounts } = await import('../../operations/containers/unmount.ts')
      return listMounts(context)
    },
    describe,
  )
}

function describe(mounts: readonly MountedTree[]): string {
  const rows = mounts.map(({ source, kind, directory }) => [source, kind, directory])
  return formatTable(['SOURCE', 'KIND', 'DIRECTORY'], rows, { heading: true })
}

/** Project Atomic's tool took URLs of its own making, too. */
function withoutScheme(words: string): string {
  return words.replace(/^https?:(\/\/)?/, '')
}

function refuseLive(): never {
  throw new ForerunError('usage', 'mounts of forerun are read-only and do not support --live', {
    hint: 'Leave it out, or run a command in the container: forerun run NAME COMMAND',
  })
}

function withoutDirectory(source: string): ForerunError {
  return new ForerunError('usage', "missing required argument 'DIR'", {
    hint: `Name an empty directory: forerun mount ${source} DIR`,
  })
}
