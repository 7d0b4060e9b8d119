import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { writeFileDurably } from '../host/durable-file.ts'
import { entriesIn } from '../host/folder-entries.ts'
import { overlayFolders } from '../host/overlay.ts'
import { type PlacedFile, placedRoles } from '../host/placed-file.ts'
import { readWhenPresent } from '../host/read-when-present.ts'
import type { HealthCheck } from '../image/health-check.ts'
import { type CheckoutMethod, checkoutMethods } from '../tree/checkout-method.ts'

/**
 * The `info` file of a deployment. The keys with dashes are those of Project Atomic's tool; `forerun` holds what is
 * this program's own.
 */
export interface DeploymentInfo {
  /** The image under its full name. */
  readonly image: string
  /** The image's id: the digest of its configuration. */
  readonly revision: string
  /** Unix time in seconds. */
  readonly created: number
  readonly values: Readonly<Record<string, string>>
  readonly 'has-container-service': boolean
  /** Paths on the host, in the order in which they were made. */
  readonly 'installed-files': readonly string[]
  /** Path to SHA-256 in hexadecimal. */
  readonly 'installed-files-checksum': Readonly<Record<string, string>>
  readonly 'installed-files-template': readonly string[]
  readonly 'rename-installed-files': Readonly<Record<string, string>>
  readonly 'rpm-installed': string | null
  readonly 'system-package': string
  /** The folder given by `--rootfs`. */
  readonly remote: string | null
  readonly 'use-links': boolean
  readonly runtime: string
  readonly forerun: {
    readonly version: string
    /** The digest of the manifest. */
    readonly manifest: string
    /** All that it placed on the host, directories before what is in them. Absent in deployments of older versions. */
    readonly files?: readonly PlacedFile[] | undefined
    /** Of older versions: folders made on the host for installed files. Parents first. */
    readonly directories?: readonly string[] | undefined
    /** What the tmpfiles lines made: removed at the end if it holds nothing. Parents first. */
    readonly 'tmpfiles-made': readonly string[]
    /** The method that was asked for, so that an update uses it, too. Absent where no checkout was made. */
    readonly checkout?: CheckoutMethod | undefined
    /** Of a root that is an overlay: the unit that mounts it, and whether an update takes `upper` along. */
    readonly overlay?:
      | { readonly 'mount-unit': string; readonly kind: 'writable' | 'read-only'; readonly 'keep-changes': boolean }
      | undefined
    /** Variables that a user gave values; an update keeps these. Absent in deployments of older versions. */
    readonly set?: readonly string[] | undefined
    /** Whether a read-only root was asked for, or only preferred. */
    readonly 'read-only'?: 'asked' | 'preferred' | undefined
    /** Whether the content of `files` lies in the deployment, by digest in `placed`. */
    readonly placed?: boolean | undefined
    /** Whether Project Atomic's tool made it: then nothing of forerun made its root and its configuration. */
    readonly adopted?: boolean | undefined
    /** Variables whose values came from files; an update treats them so, too. */
    readonly secrets?: readonly string[] | undefined
    /** Files that systemd hands to the service, by variable. */
    readonly credentials?: Readonly<Record<string, string>> | undefined
    readonly 'health-check'?: HealthCheck | undefined
  }
}

export interface Deployment {
  readonly name: string
  /** `/var/lib/forerun/containers/NAME.0`. */
  readonly folder: string
  readonly info: DeploymentInfo
}

/**
 * The deployment in use of a container; undefined when there is none of that name. Needs no lock: while another command
 * switches or removes it, it is read whole or not at all.
 *
 * @throws ForerunError `store` when it is damaged.
 */
export function readDeployment(containers: string, name: string): Deployment | undefined {
  for (;;) {
    const link = currentLink(containers, name)
    if (link === undefined) return undefined
    const folder = join(containers, link.slot)
    try {
      return { name, folder, info: readInfo(folder) }
    } catch (error) {
      if (currentLink(containers, name)?.identity === link.identity) throw error
    }
  }
}

/** Whether a deployment that was read is still the one in use: then so is what has been read in its folder meanwhile. */
export function isStillInUse(containers: string, deployment: Deployment): boolean {
  try {
    return isDeepStrictEqual(readDeployment(containers, deployment.name), deployment)
  } catch (error) {
    if (error instanceof ForerunError) return false
    throw error
  }
}

/** The deployments in use of all containers, by name. @throws ForerunError `store` when one is damaged. */
export function readDeployments(containers: string): Deployment[] {
  return containerNames(containers)
    .map((name) => readDeployment(containers, name))
    .filter((deployment) => deployment !== undefined)
}

/** A container whose deployment cannot be read. */
export interface DamagedDeployment {
  readonly name: string
  readonly problem: ForerunError
}

/** As `readDeployment`, for one that may be damaged. */
export function surveyDeployment(containers: string, name: string): Deployment | DamagedDeployment | undefined {
  try {
    return readDeployment(containers, name)
  } catch (problem) {
    if (!(problem instanceof ForerunError)) throw problem
    return { name, problem }
  }
}

/** The names of all containers, also of those whose deployment cannot be read. */
export function containerNames(containers: string): string[] {
  return entriesIn(containers)
    .filter((entry) => entry.isSymbolicLink() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort()
}

/** All folders of a container, in use or not: `NAME.0`, `NAME.1`. A link of that name is another container. */
export function deploymentFolders(containers: string, name: string): string[] {
  return [0, 1]
    .map((slot) => join(containers, `${name}.${slot}`))
    .filter((folder) => lstatSync(folder, { throwIfNoEntry: false })?.isDirectory())
}

/** The folder of the deployment in use, whether it can be read or not. */
export function currentFolder(containers: string, name: string): string | undefined {
  const link = currentLink(containers, name)
  return link && join(containers, link.slot)
}

/** All folders of all containers; what holds on to images. */
export function allDeploymentFolders(containers: string): string[] {
  return containerNames(containers).flatMap((name) => deploymentFolders(containers, name))
}

/** The other deployment of a container, which it can go back to; undefined when there is none. */
export function otherDeployment(containers: string, { name, folder }: Deployment): Deployment | undefined {
  const other = deploymentFolders(containers, name).find((each) => each !== folder)
  return other === undefined ? undefined : { name, folder: other, info: readInfo(other) }
}

/** Where the next deployment of a container goes: in place of the one before. */
export function nextFolder(containers: string, { name, folder }: Deployment): string {
  return join(containers, `${name}.${folder.endsWith('.0') ? 1 : 0}`)
}

/**
 * The digests of manifests that a container was to be updated to from this deployment, and did not stay up with. None where nobody
 * tried.
 */
export function refusedManifests({ folder }: Pick<Deployment, 'folder'>): string[] {
  const text = readWhenPresent(refusedPath(folder))?.toString() ?? ''
  return text.split('\n').filter((line) => line !== '')
}

export function rememberRefused(deployment: Pick<Deployment, 'folder'>, manifest: string): void {
  const refused = new Set([...refusedManifests(deployment), manifest])
  writeFileDurably(refusedPath(deployment.folder), [...refused].map((line) => `${line}\n`).join(''), { mode: 0o600 })
}

function refusedPath(folder: string): string {
  return join(folder, 'refused')
}

/** Where a deployment keeps the content of a file that it placed. */
export function placedContentPath(folder: string, digest: string): string {
  return join(folder, 'placed', digest)
}

/** What a container writes to its root, of one that updates take along. */
export function keptRoot({ folder, info }: Pick<Deployment, 'folder' | 'info'>): string | undefined {
  return info.forerun.overlay?.['keep-changes'] === true ? join(folder, 'upper') : undefined
}

/** Where the files of the image lie in a deployment: beneath the overlay where its root is one, else they are its root. */
export function checkoutFolder({ folder, info }: Pick<Deployment, 'folder' | 'info'>): string {
  const { overlay } = info.forerun
  return join(folder, overlay === undefined ? 'rootfs' : overlayFolders[overlay.kind].lower)
}

/** @throws ForerunError `store` when the file is absent or damaged. */
export function readInfo(folder: string): DeploymentInfo {
  try {
    return v.parse(infoSchema, JSON.parse(readFileSync(join(folder, 'info'), 'utf8')))
  } catch (cause) {
    throw new ForerunError('store', `the file '${join(folder, 'info')}' is damaged or missing`, {
      cause,
      hint: `Put it back from a backup, or remove the unit of that container and '${folder}' by hand.`,
    })
  }
}

const placedFileSchema: v.GenericSchema<unknown, PlacedFile> = v.intersect([
  v.object({ role: v.picklist(placedRoles), path: v.string(), uid: v.number(), gid: v.number() }),
  v.variant('kind', [
    v.object({ kind: v.literal('file'), mode: v.number(), digest: v.string() }),
    v.object({ kind: v.literal('symlink'), target: v.string() }),
    v.object({ kind: v.literal('directory'), mode: v.number() }),
  ]),
])

const infoSchema: v.GenericSchema<unknown, DeploymentInfo> = v.looseObject({
  image: v.string(),
  revision: v.string(),
  created: v.number(),
  values: v.record(v.string(), v.string()),
  'has-container-service': v.boolean(),
  'installed-files': v.array(v.string()),
  'installed-files-checksum': v.record(v.string(), v.string()),
  'installed-files-template': v.array(v.string()),
  'rename-installed-files': v.record(v.string(), v.string()),
  'rpm-installed': v.nullable(v.string()),
  'system-package': v.string(),
  remote: v.nullable(v.string()),
  'use-links': v.boolean(),
  runtime: v.string(),
  forerun: v.looseObject({
    version: v.string(),
    manifest: v.string(),
    files: v.optional(v.array(placedFileSchema)),
    directories: v.optional(v.array(v.string())),
    'tmpfiles-made': v.array(v.string()),
    checkout: v.optional(v.picklist(checkoutMethods)),
    overlay: v.optional(
      v.looseObject({
        'mount-unit': v.string(),
        kind: v.picklist(['writable', 'read-only']),
        'keep-changes': v.boolean(),
      }),
    ),
    set: v.optional(v.array(v.string())),
    'read-only': v.optional(v.picklist(['asked', 'preferred'])),
    placed: v.optional(v.boolean()),
    adopted: v.optional(v.boolean()),
    secrets: v.optional(v.array(v.string())),
    credentials: v.optional(v.record(v.string(), v.string())),
    'health-check': v.optional(
      v.object({
        command: v.array(v.string()),
        interval: v.number(),
        timeout: v.number(),
        retries: v.number(),
        startPeriod: v.number(),
      }),
    ),
  }),
})

/** `identity` is another one when the link has been replaced. */
function currentLink(containers: string, name: string): { slot: string; identity: string } | undefined {
  const path = join(containers, name)
  try {
    const { ino, ctimeNs } = lstatSync(path, { bigint: true })
    return { slot: basename(readlinkSync(path)), identity: `${ino} ${ctimeNs}` }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'EINVAL') return undefined
    throw error
  }
}
