import { ForerunError } from '../../errors.ts'
import { syncFileSystemOf } from '../../host/durable-file.ts'
import { parseDigest } from '../../image/digest.ts'
import { parseReference } from '../../image/reference.ts'
import { containerNames, deploymentFolders } from '../../store/deployment.ts'
import { readImageIndex } from '../../store/image-index.ts'
import { neededObjects, repairCheckout } from '../../store/repair-checkout.ts'
import type { ObjectId } from '../../tree/node.ts'
import type { Context, SourceOptions } from '../context.ts'
import { pullImage } from '../transfer/pull.ts'
import { type Checkout, type Fault, runVerification, type Verification, type VerificationScope } from './find-faults.ts'
import { repairImages } from './repair-images.ts'

/**
 * Puts right what a verification found: images first, then checkouts, also those of other containers that hold a file which
 * was damaged in the store. What cannot be put right stays as it is, and a notice says why. The host must be locked.
 *
 * @returns what was done, a sentence each.
 */
export async function repair(
  faults: readonly Fault[],
  options: SourceOptions,
  context: Context,
): Promise<readonly string[]> {
  const actions: string[] = await pullLostImages(faults, options, context)
  // All that is read may serve as a replacement; it is read again after the images are whole, and what was lost of trees is known.
  const damage = faults.flatMap((fault) => (fault.in === 'image' ? [fault] : []))
  if (damage.length > 0) {
    const { read } = await runVerification(everything(context), context)
    actions.push(...(await repairImages(damage, read, { options, context })))
  }
  const replaced = new Set(damage.flatMap(({ fault }) => (fault.expected === undefined ? [] : [fault.expected.object])))
  return [...actions, ...(await repairCheckouts({ faults, replaced }, context))]
}

function everything({ paths: { store, containers } }: Context): VerificationScope {
  const index = readImageIndex(store)
  const folders = containerNames(containers).flatMap((name) => deploymentFolders(containers, name))
  return { images: index, index, folders }
}

/** Images of deployments that the store does not know any more: as their manifests, whatever the names stand for now. */
async function pullLostImages(faults: readonly Fault[], options: SourceOptions, context: Context): Promise<string[]> {
  const actions: string[] = []
  for (const fault of faults) {
    if (fault.in !== 'deployment' || fault.info === undefined) continue
    const { image, forerun } = fault.info
    try {
      const reference = { ...parseReference(image), digest: parseDigest(forerun.manifest) }
      const location = { transport: 'docker', reference, shortName: undefined } as const
      const { record } = await pullImage(location, options, context)
      actions.push(`Pulled ${record.name}, which the store had lost`)
    } catch (error) {
      if (!(error instanceof ForerunError) || error.code === 'interrupted') throw error
      context.emit({ type: 'notice', message: `'${image}' cannot be pulled again: ${error.message}` })
    }
  }
  return actions
}

async function repairCheckouts(
  { faults, replaced }: { faults: readonly Fault[]; replaced: ReadonlySet<ObjectId> },
  context: Context,
): Promise<string[]> {
  const wanted = new Set(faults.flatMap((fault) => (fault.in === 'image' ? [] : [folderOf(fault)])))
  const now = await runVerification(everything(context), context)
  const damagedObjects = objectsDamaged(now)
  const actions: string[] = []
  for (const checkout of now.checkouts) {
    const damage = now.faults
      .flatMap((fault) => (fault.in === 'checkout' && fault.checkout === checkout ? [fault.fault] : []))
      .filter(({ node }) => wanted.has(checkout.folder) || (node?.kind === 'file' && replaced.has(node.object)))
      .filter((fault) => neededObjects([fault]).every(({ object }) => !damagedObjects.has(object)))
    if (damage.length === 0) continue
    actions.push(...mend(checkout, damage, context))
  }
  return actions
}

function folderOf(fault: Exclude<Fault, { in: 'image' }>): string {
  return fault.in === 'checkout' ? fault.checkout.folder : fault.folder
}

function objectsDamaged({ faults }: Verification): Set<ObjectId> {
  return new Set(
    faults.flatMap((fault) =>
      fault.in === 'image' && fault.fault.expected !== undefined ? [fault.fault.expected.object] : [],
    ),
  )
}

function mend(checkout: Checkout, damage: Parameters<typeof repairCheckout>[2], { paths, emit }: Context): string[] {
  try {
    repairCheckout(paths.store, checkout, damage)
    syncFileSystemOf(checkout.folder)
    return [`Put right ${damage.length} ${damage.length === 1 ? 'name' : 'names'} in ${checkout.target}`]
  } catch (error) {
    // What the file system refuses in one checkout keeps no other from being mended.
    if (!(error instanceof ForerunError) && (error as NodeJS.ErrnoException).syscall === undefined) throw error
    emit({ type: 'notice', message: `${checkout.target} is not all put right: ${(error as Error).message}` })
    return []
  }
}
