import { lstatSync, readlinkSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { entriesIn } from '../host/folder-entries.ts'
import { readAtMost } from '../host/read-at-most.ts'
import { readWhenPresent } from '../host/read-when-present.ts'
import type { DeploymentInfo } from './deployment.ts'

/** The `info` file of a deployment that Project Atomic's tool made, with what older versions of it left out filled in. */
export type AtomicInfo = Omit<DeploymentInfo, 'forerun'>

export interface AtomicDeployment {
  readonly name: string
  /** `/var/lib/containers/atomic/NAME.0`. */
  readonly folder: string
  readonly info: AtomicInfo
}

/** A container of that tool: what its link leads to, and what a rollback would go to. */
export interface AtomicContainer {
  readonly name: string
  readonly current: AtomicDeployment
  readonly other: AtomicDeployment | undefined
  /** Why there is no other one, though its folder is there. */
  readonly otherProblem: ForerunError | undefined
}

export interface DamagedAtomicContainer {
  readonly name: string
  readonly problem: ForerunError
}

/** Where that tool keeps its deployments when `atomic.conf` does not say. */
const usualCheckouts = '/var/lib/containers/atomic'

/** The folder of that tool's deployments, by `checkout_path` of its settings, a file of YAML with simple keys. */
export function atomicCheckouts(settings: string): string {
  const text = readWhenPresent(settings)?.toString() ?? ''
  const [, , value = ''] = /^checkout_path[ \t]*:[ \t]*(["']?)(.*?)\1[ \t]*(?:#.*)?$/m.exec(text) ?? []
  return value.startsWith('/') ? resolve(value) : usualCheckouts
}

/**
 * The containers of that tool, by name. A damaged one does not hide the others. What was taken over from there has left only links
 * to its new place, and is none of them.
 *
 * @param own where forerun's deployments are.
 */
export function surveyAtomicContainers(checkouts: string, own: string): (AtomicContainer | DamagedAtomicContainer)[] {
  return entriesIn(checkouts)
    .filter((entry) => entry.isSymbolicLink() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort()
    .flatMap((name) => {
      try {
        return readAtomicContainer(checkouts, name, { own }) ?? []
      } catch (problem) {
        if (!(problem instanceof ForerunError)) throw problem
        return { name, problem }
      }
    })
}

/** @returns undefined where there is none of that name. @throws ForerunError `store` for a damaged one. */
export function readAtomicContainer(
  checkouts: string,
  name: string,
  { own }: { own: string },
): AtomicContainer | undefined {
  const target = linkTarget(join(checkouts, name))
  if (target === undefined) return undefined
  const folder = resolve(checkouts, target)
  if (folder.startsWith(`${own}/`)) return undefined
  const slots = [`${name}.0`, `${name}.1`]
  const slot = basename(folder)
  if (!slots.includes(slot) || !isSameFolder(dirname(folder), checkouts)) {
    throw damaged(join(checkouts, name), `leads to '${target}', which is no deployment of it`)
  }
  // At the moment when it is taken over it lies there already.
  const place = [checkouts, own].find((each) => statSync(join(each, slot), { throwIfNoEntry: false })) ?? checkouts
  const current = { name, folder: join(checkouts, slot), info: readAtomicInfo(join(place, slot)) }
  return { name, current, ...otherDeployment(checkouts, name, slots.find((each) => each !== slot) ?? '') }
}

function otherDeployment(
  checkouts: string,
  name: string,
  slot: string,
): Pick<AtomicContainer, 'other' | 'otherProblem'> {
  const folder = join(checkouts, slot)
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return { other: undefined, otherProblem: undefined }
  try {
    return { other: { name, folder, info: readAtomicInfo(folder) }, otherProblem: undefined }
  } catch (error) {
    if (!(error instanceof ForerunError)) throw error
    return { other: undefined, otherProblem: error }
  }
}

/**
 * Keys that versions of the tool came to write later have the values that they stood for before: a service unless only host
 * files were installed, no checksums, no package. Values may be numbers.
 *
 * @throws ForerunError `store` when the file is absent or damaged.
 */
export function readAtomicInfo(folder: string): AtomicInfo {
  const path = join(folder, 'info')
  const raw = parseInfo(path)
  const files = raw['installed-files'] ?? Object.keys(raw['installed-files-checksum'] ?? {})
  return {
    ...raw,
    revision: raw.revision ?? '',
    created: Math.floor(raw.created ?? statSync(path).mtimeMs / 1000),
    values: Object.fromEntries(
      Object.entries(raw.values ?? {}).flatMap(([key, value]) => (value === null ? [] : [[key, `${value}`]])),
    ),
    'has-container-service': raw['has-container-service'] ?? hasService(folder),
    'installed-files': files,
    'installed-files-checksum': raw['installed-files-checksum'] ?? {},
    'installed-files-template': raw['installed-files-template'] ?? [],
    'rename-installed-files': raw['rename-installed-files'] ?? {},
    'rpm-installed': raw['rpm-installed'] || null,
    'system-package': raw['system-package'] ?? 'no',
    remote: raw.remote || null,
    'use-links': raw['use-links'] ?? true,
    runtime: raw.runtime ?? '',
  }
}

/** Larger than any that the tool wrote. */
const largestInfo = 4 * 1024 * 1024

const hostPath = v.pipe(
  v.string(),
  v.check((path) => path.startsWith('/') && resolve(path) === path),
)
const infoSchema = v.looseObject({
  image: v.pipe(v.string(), v.minLength(1)),
  revision: v.nullish(v.string()),
  created: v.nullish(v.pipe(v.number(), v.finite())),
  values: v.nullish(v.record(v.string(), v.union([v.string(), v.number(), v.boolean(), v.null()]))),
  'has-container-service': v.nullish(v.boolean()),
  'installed-files': v.nullish(v.array(hostPath)),
  'installed-files-checksum': v.nullish(v.record(hostPath, v.string())),
  'installed-files-template': v.nullish(v.array(v.string())),
  'rename-installed-files': v.nullish(v.record(v.string(), v.string())),
  'rpm-installed': v.nullish(v.string()),
  'system-package': v.nullish(v.string()),
  remote: v.nullish(v.string()),
  'use-links': v.nullish(v.boolean()),
  runtime: v.nullish(v.string()),
})

function parseInfo(path: string): v.InferOutput<typeof infoSchema> {
  try {
    if (!lstatSync(path).isFile()) throw new Error('it is no file')
    return v.parse(infoSchema, JSON.parse(readAtMost(path, largestInfo).toString()))
  } catch (cause) {
    throw damaged(path, 'is damaged or missing', cause)
  }
}

/** Of an image that only installs files the tool kept neither. */
function hasService(folder: string): boolean {
  return lstatSync(join(folder, 'config.json'), { throwIfNoEntry: false }) !== undefined
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'EINVAL') return undefined
    throw error
  }
}

/** On an Atomic Host the link may name the folder as it lies below /ostree/deploy, from where it is mounted. */
function isSameFolder(a: string, b: string): boolean {
  const [one, two] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  return one !== undefined && two !== undefined && one.dev === two.dev && one.ino === two.ino
}

function damaged(path: string, problem: string, cause?: unknown): ForerunError {
  return new ForerunError('store', `'${path}' ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "It is of Project Atomic's tool: put it back from a backup, or remove what is left of that container by hand.",
  })
}
