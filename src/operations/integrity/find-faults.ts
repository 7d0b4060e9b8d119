import { lstatSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { mountPoints } from '../../bundle/mount-points.ts'
import { parseRuntimeConfiguration } from '../../bundle/runtime-configuration.ts'
import { ForerunError } from '../../errors.ts'
import { hostKind } from '../../host/host-kind.ts'
import { type CheckoutFault, checkCheckout } from '../../store/checkout-faults.ts'
import { checkoutFolder, type DeploymentInfo, readInfo } from '../../store/deployment.ts'
import { fileChecks, type ReadFile } from '../../store/file-checks.ts'
import { imageTree } from '../../store/image.ts'
import { checkImages, type ImageFault } from '../../store/image-faults.ts'
import type { ImageRecord } from '../../store/image-index.ts'
import { displayPath } from '../../tree/entry.ts'
import { addMountPoint } from '../../tree/mount-point.ts'
import type { DirectoryNode } from '../../tree/node.ts'
import { hashInThreads } from '../../workers/hash-in-threads.ts'
import type { Context } from '../context.ts'

/** What is to be compared. */
export interface VerificationScope {
  readonly images: readonly ImageRecord[]
  /** Of the store, to find those that deployments were made of. */
  readonly index: readonly ImageRecord[]
  /** Folders of deployments: `/var/lib/forerun/containers/NAME.0`. */
  readonly folders: readonly string[]
}

/** Something that is not as it should be. */
export type Fault =
  | { readonly in: 'image'; readonly record: ImageRecord; readonly fault: ImageFault }
  | { readonly in: 'checkout'; readonly checkout: Checkout; readonly fault: CheckoutFault }
  | { readonly in: 'deployment'; readonly folder: string; readonly problem: string; readonly info?: DeploymentInfo }

/** A deployment's file system, and what it should be. */
export interface Checkout {
  readonly folder: string
  /** Where it lies. */
  readonly target: string
  readonly tree: DirectoryNode
}

export interface Verification {
  readonly faults: readonly Fault[]
  readonly checkouts: readonly Checkout[]
  /** All files that were read, each inode once. */
  readonly read: readonly ReadFile[]
}

/** Compares the parts of the store and the checkouts with what they should be, and reads every inode once. @throws ForerunError `interrupted` */
export async function runVerification(scope: VerificationScope, context: Context): Promise<Verification> {
  const { store } = context.paths
  const faults: Fault[] = []
  const checkouts: Checkout[] = []
  const checks = fileChecks()
  await checkImages(store, scope.images, {
    checks,
    signal: context.signal,
    report: (fault, record) => faults.push({ in: 'image', record, fault }),
  })
  for (const folder of scope.folders) {
    const expected = expectedCheckout(folder, scope.index, store)
    if ('problem' in expected) {
      faults.push({ in: 'deployment', folder, ...expected })
      continue
    }
    if (expected.tree === undefined) continue
    const { target, tree } = expected
    const checkout: Checkout = { folder, target, tree }
    checkouts.push(checkout)
    const report = (fault: CheckoutFault): unknown => faults.push({ in: 'checkout', checkout, fault })
    await checkCheckout(target, tree, { checks, report, signal: context.signal })
  }
  const read = await checks.run(hashInThreads(context))
  return { faults, checkouts, read }
}

/** `tree` is undefined where forerun made no checkout: an image of host files only, `--rootfs`, a container that was taken over. */
function expectedCheckout(
  folder: string,
  index: readonly ImageRecord[],
  store: string,
):
  | { readonly problem: string; readonly info?: DeploymentInfo }
  | { readonly target: string; readonly tree: DirectoryNode | undefined } {
  try {
    const info = readInfo(folder)
    const target = checkoutFolder({ folder, info })
    const isMade = info['has-container-service'] && info.remote === null && info.forerun.adopted !== true
    if (!isMade) return { target, tree: undefined }
    const record = index.find(({ manifest }) => manifest === info.forerun.manifest)
    if (record === undefined) return { problem: `the store has lost its image ${info.forerun.manifest}`, info }
    const tree = imageTree(store, record, { objects: false })
    if (tree === undefined) return { problem: 'cannot be compared before its image is whole' }
    addMountPoints(tree, folder, target)
    return { target, tree }
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    return { problem: error.message }
  }
}

/** What `install` made for mounts, as kinds that are there now: a bind's source may have changed since. */
function addMountPoints(tree: DirectoryNode, folder: string, target: string): void {
  const file = join(folder, 'config.json')
  for (const point of mountPoints(readConfiguration(file), (source) => hostKind(resolve(folder, source)))) {
    const there = lstatSync(join(target, displayPath(point.path)), { throwIfNoEntry: false })
    const kind = there === undefined ? point.kind : there.isFile() ? 'file' : 'directory'
    addMountPoint(tree, point.path, kind)
  }
}

function readConfiguration(file: string): ReturnType<typeof parseRuntimeConfiguration> {
  try {
    return parseRuntimeConfiguration(JSON.parse(readFileSync(file, 'utf8')), file)
  } catch (cause) {
    if (cause instanceof ForerunError) throw cause
    throw new ForerunError('store', `the file '${file}' is damaged or missing`, { cause })
  }
}
