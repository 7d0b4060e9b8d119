import { isAbsolute, join } from 'node:path'
import type { Bundle } from '../../bundle/bundle.ts'
import { type ToldPrivilege, toldPrivilege } from '../../bundle/privilege.ts'
import { servicePrivileges } from '../../bundle/privileges.ts'
import type { RuntimeConfiguration } from '../../bundle/runtime-schema.ts'
import { ForerunError } from '../../errors.ts'
import { findProgram } from '../../host/find-program.ts'
import { unitName } from '../../host/paths.ts'
import type { PlacedFile } from '../../host/placed-file.ts'
import { defaultContainerName, parseLocation } from '../../image/location.ts'
import { imageTree, openImage } from '../../store/image.ts'
import type { ImageRecord } from '../../store/image-index.ts'
import { objectPath } from '../../store/object.ts'
import { displayPath } from '../../tree/entry.ts'
import type { FileNode } from '../../tree/node.ts'
import type { Context } from '../context.ts'
import { templateVariables } from '../images/template-variables.ts'
import { namedImage } from '../lookup/named-image.ts'
import { treeFiles } from '../lookup/tree-files.ts'
import { deploymentBundle } from './deployment-bundle.ts'
import { type HostFileView, hostFileViews } from './host-files.ts'
import type { InstallableImage } from './installable-image.ts'

/** What a stored image would get on this host, with its default values. */
export interface ImagePrivileges {
  /** Null where the image cannot be installed as it is. */
  readonly privileges: readonly ToldPrivilege[] | null
  /** Files that it would put on the host. */
  readonly hostFiles: readonly HostFileView[]
  /** Variables without a value, which stand as `$NAME` in what is told. */
  readonly open: readonly string[]
  /** Why nothing is told. */
  readonly problem: string | null
}

/**
 * Renders a stored image as an installation under its own name would, and tells what it would be able to do. Nothing is written.
 *
 * @throws ForerunError `image-not-found`, and for a malformed `/exports`.
 */
export function imagePrivileges(words: string, context: Context): ImagePrivileges {
  const { record, name: named } = namedImage(words, context)
  const name = named ?? record.names[0]
  const image = lookedAtImage(record, name, context)
  const open = image === undefined ? [] : templateVariables(image.files).required
  if (image === undefined) return untold('the store has lost a layer of it', open)
  const container = name === undefined ? 'container' : defaultContainerName(parseLocation(name))
  const wish = wishOf(container, open, context)
  try {
    const bundle = deploymentBundle(image, wish)
    const { service } = bundle
    return {
      privileges:
        service === undefined
          ? []
          : servicePrivileges({ ...service, ...wish, configuration: withOpenSources(service.configuration, open) }).map(
              toldPrivilege,
            ),
      hostFiles: hostFileViews(placedHostFiles(bundle), { unit: unitName(container), tmpfiles: undefined }),
      open,
      problem: null,
    }
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    return untold(error.message, open)
  }
}

function untold(problem: string, open: readonly string[]): ImagePrivileges {
  return { privileges: null, hostFiles: [], open, problem }
}

function lookedAtImage(
  record: ImageRecord,
  name: string | undefined,
  { paths: { store } }: Context,
): InstallableImage | undefined {
  const { configuration } = openImage(store, record)
  const tree = imageTree(store, record)
  if (tree === undefined) return undefined
  const pathOf = (file: FileNode): string => objectPath(store, file.object)
  const files = treeFiles(tree, pathOf)
  const { id, manifest } = record
  return { name: name ?? id, id, manifest, configuration, files, pathOf, tree, rootfs: undefined }
}

function wishOf(name: string, open: readonly string[], { paths, settings }: Context) {
  const { path } = settings.runtime
  return {
    name,
    folder: join(paths.containers, `${name}.0`),
    uuid: '00000000-0000-4000-8000-000000000000',
    // On a host without one it is told all the same.
    runtime: isAbsolute(path) ? path : (findProgram(path, process.env.PATH) ?? join('/usr/bin', path)),
    checkout: settings.containers.checkout,
    readOnlyRoot: settings.containers.readOnly ? ('preferred' as const) : undefined,
    made: [],
    given: {
      assignments: new Map(open.map((variable) => [variable, `$${variable}`])),
      secrets: [],
      credentials: new Map<string, string>(),
    },
  }
}

/** Where a variable says what is mounted, it will be a path of the host. */
function withOpenSources(configuration: RuntimeConfiguration, open: readonly string[]): RuntimeConfiguration {
  const { mounts } = configuration
  const isOpen = (source = ''): boolean => open.some((variable) => source.startsWith(`$${variable}`))
  if (mounts === undefined) return configuration
  return {
    ...configuration,
    mounts: mounts.map((mount) => (isOpen(mount.source) ? { ...mount, source: `/${mount.source}` } : mount)),
  }
}

function placedHostFiles({ hostFiles }: Bundle): PlacedFile[] {
  return hostFiles.map((file): PlacedFile => {
    const place = { role: 'host', path: displayPath(file.path), uid: file.uid, gid: file.gid } as const
    if (file.kind === 'symlink') return { ...place, kind: 'symlink', target: displayPath(file.target) }
    if (file.kind === 'directory') return { ...place, kind: 'directory', mode: file.mode }
    return { ...place, kind: 'file', mode: file.mode, digest: '' }
  })
}
