import { basename } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { containerNames, deploymentFolders, readInfo } from '../../store/deployment.ts'
import { readImageIndex } from '../../store/image-index.ts'
import { type Share, storageUse } from '../../store/storage.ts'
import type { Context } from '../context.ts'

/** Sizes are bytes on the disk. */
export interface StorageReport {
  /** Everything, each inode once. */
  readonly total: number
  /** What `images prune` would free. */
  readonly reclaimable: number
  readonly images: readonly StoredImageUse[]
  readonly containers: readonly ContainerUse[]
  /** What no image has: left by pulls that were cut short, and by commands that were killed. */
  readonly leftover: number
}

export interface StoredImageUse extends Share {
  /** Full name, or `<none>`. */
  readonly image: string
  readonly id: string
  readonly manifest: string
  /** The containers that were made of it. */
  readonly containers: readonly string[]
  /** What would be free if the image were deleted, 0 while a container needs it. */
  readonly reclaimable: number
}

export interface ContainerUse extends Share {
  readonly container: string
  readonly folder: string
}

/** What the store and the deployments take on the disk. Reads names and sizes only. */
export function storage({ paths: { store, containers } }: Context): StorageReport {
  const index = readImageIndex(store)
  const folders = containerNames(containers).flatMap((name) => deploymentFolders(containers, name))
  const users = usersOf(folders)
  const kept = index.filter(({ manifest, names }) => names.length > 0 || users.has(manifest))
  const use = storageUse(store, index, folders)
  const images = index
    .map((record): StoredImageUse => {
      const share = use.images.get(record.manifest) ?? { used: 0, shared: 0, own: 0 }
      const of = users.get(record.manifest) ?? []
      const { id, manifest, names } = record
      const reclaimable = of.length > 0 ? 0 : share.own
      return { image: names[0] ?? '<none>', id, manifest, containers: of, ...share, reclaimable }
    })
    .sort((a, b) => (a.image < b.image ? -1 : 1))
  return {
    total: use.total,
    reclaimable: kept.length === index.length ? use.leftover : storageUse(store, kept, folders).leftover,
    images,
    containers: [...use.deployments].map(([folder, share]) => ({ container: containerOf(folder), folder, ...share })),
    leftover: use.leftover,
  }
}

function usersOf(folders: readonly string[]): Map<string, string[]> {
  const users = new Map<string, string[]>()
  for (const folder of folders) {
    try {
      const { manifest } = readInfo(folder).forerun
      users.set(manifest, [...(users.get(manifest) ?? []), containerOf(folder)])
    } catch (error) {
      // Such a deployment is told of by `verify`; it takes room all the same.
      if (!(error instanceof ForerunError)) throw error
    }
  }
  return users
}

function containerOf(folder: string): string {
  return basename(folder).replace(/\.[01]$/, '')
}
