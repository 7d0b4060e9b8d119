import { basename } from 'node:path'
import { ForerunError } from '../../errors.ts'
import type { CheckoutFault } from '../../store/checkout-faults.ts'
import { containerNames, deploymentFolders, readInfo } from '../../store/deployment.ts'
import type { ImageFault } from '../../store/image-faults.ts'
import { readImageIndex } from '../../store/image-index.ts'
import { rebuildImageIndex } from '../../store/rebuild-index.ts'
import { displayPath } from '../../tree/entry.ts'
import type { Context, SourceOptions } from '../context.ts'
import { lockHost } from '../lock-host.ts'
import { lockForReading, lockStore } from '../locks.ts'
import { findNamedImage } from '../lookup/named-image.ts'
import { type Fault, runVerification, type VerificationScope } from './find-faults.ts'
import { repair } from './repair.ts'

/** A part of the store or of a container that was found damaged. */
export interface DamagedPart {
  /** `image` or `container`. */
  readonly kind: 'image' | 'container'
  /** The image's name, or its id; the container's. */
  readonly of: string
  readonly part: string
  readonly problem: string
  /** Whether it is as it should be now. */
  readonly repaired: boolean
}

export interface VerifyResult {
  readonly images: number
  readonly containers: number
  /** Inodes that were read, and their bytes. */
  readonly files: number
  readonly bytes: number
  readonly damaged: readonly DamagedPart[]
  /** What `--repair` did, a sentence each. */
  readonly actions: readonly string[]
  /** Damaged parts that remain. */
  readonly remaining: number
}

/**
 * Compares objects with their digests and checkouts with their trees: of one container and its image, of one image, or of
 * everything. Nothing is written, unless it is to be repaired.
 *
 * @param words a container's name or an image; undefined is everything.
 * @throws ForerunError `image-not-found`, `store` for a list of images that is damaged.
 */
export async function verify(
  words: string | undefined,
  options: SourceOptions & { readonly repair: boolean },
  context: Context,
): Promise<VerifyResult> {
  using _lock = options.repair ? await lockForRepair(context) : await lockForReading('verify', context)
  const begun = options.repair ? mendImageIndex(context) : []
  const scope = scopeOf(words, context)
  const first = await runVerification(scope, context)
  const summary = {
    images: scope.images.length,
    containers: scope.folders.length,
    files: first.read.length,
    bytes: first.read.reduce((sum, { size }) => sum + size, 0),
  }
  if (!options.repair || first.faults.length === 0) {
    const damaged = first.faults.map((fault) => ({ ...describeFault(fault), repaired: false }))
    return { ...summary, damaged, actions: begun, remaining: damaged.length }
  }
  const actions = [...begun, ...(await repair(first.faults, options, context))]
  const after = await runVerification(scopeOf(words, context), context)
  const remaining = after.faults.map(describeFault)
  const isLeft = (part: Omit<DamagedPart, 'repaired'>): boolean =>
    remaining.some((left) => left.kind === part.kind && left.of === part.of && left.part === part.part)
  const before = first.faults.map(describeFault)
  // What could not be looked at before its image was whole.
  const found = remaining.filter((left) => !before.some(({ of, part }) => of === left.of && part === left.part))
  const damaged = [...before, ...found].map((part) => ({ ...part, repaired: !isLeft(part) }))
  return { ...summary, damaged, actions, remaining: remaining.length }
}

async function lockForRepair(context: Context): Promise<Disposable> {
  using locks = new DisposableStack()
  locks.use(await lockStore('verify --repair', 'exclusive', context))
  locks.use(await lockHost('verify --repair', context))
  return locks.move()
}

function scopeOf(words: string | undefined, context: Context): VerificationScope {
  const { store, containers } = context.paths
  const index = readImageIndex(store)
  const names = containerNames(containers)
  if (words === undefined) {
    return { images: index, index, folders: names.flatMap((name) => deploymentFolders(containers, name)) }
  }
  if (names.includes(words)) {
    const folders = deploymentFolders(containers, words)
    const manifests = folders.map(manifestOf)
    return { images: index.filter(({ manifest }) => manifests.includes(manifest)), index, folders }
  }
  const image = findNamedImage(words, context)
  if (image !== undefined) return { images: [image.record], index, folders: [] }
  throw new ForerunError('image-not-found', `there is neither a container nor a stored image '${words}'`, {
    hint: 'List them: forerun containers list --all; forerun images list',
  })
}

function manifestOf(folder: string): string | undefined {
  try {
    return readInfo(folder).forerun.manifest
  } catch (error) {
    // It is told of when the deployment is looked at.
    if (error instanceof ForerunError) return undefined
    throw error
  }
}

/** A list of images that cannot be read is made anew of what the store and the deployments know. */
function mendImageIndex({ paths: { store, containers } }: Context): string[] {
  try {
    readImageIndex(store)
    return []
  } catch (error) {
    if (!(error instanceof ForerunError && error.code === 'store')) throw error
    const images = rebuildImageIndex(store, namesOfDeployments(containers))
    return [`Made a new list of images of what the store holds: ${images.length}`]
  }
}

function namesOfDeployments(containers: string): Map<string, string> {
  const folders = containerNames(containers).flatMap((name) => deploymentFolders(containers, name))
  return new Map(
    folders.flatMap((folder): [string, string][] => {
      const manifest = manifestOf(folder)
      return manifest === undefined || manifest === '' ? [] : [[manifest, readInfo(folder).image]]
    }),
  )
}

/** A fault in words. */
export function describeFault(found: Fault): Omit<DamagedPart, 'repaired'> {
  if (found.in === 'image') {
    const { kind, name } = found.fault
    const part = kind === 'file' ? name : `the ${kind} ${name}`
    return { kind: 'image', of: found.record.names[0] ?? found.record.id, part, problem: problemOf(found.fault) }
  }
  const folder = found.in === 'checkout' ? found.checkout.folder : found.folder
  const of = basename(folder).replace(/\.[01]$/, '')
  if (found.in === 'deployment') return { kind: 'container', of, part: folder, problem: found.problem }
  return {
    kind: 'container',
    of,
    part: displayPath(found.fault.path) || '/',
    problem: problemOf(found.fault),
  }
}

function problemOf({ problem }: { problem: ImageFault['problem'] | CheckoutFault['problem'] }): string {
  return problemWords[problem]
}

const problemWords: Record<ImageFault['problem'] | CheckoutFault['problem'], string> = {
  missing: 'is missing',
  'missing or damaged': 'is missing or damaged',
  size: 'has another size',
  content: 'has another content',
  metadata: 'has another owner, mode, time or attribute',
  type: 'is something else',
  target: 'leads elsewhere',
  device: 'is another device',
  'hard link': 'is a file apart from its other names',
  extra: 'is not of the image',
}
