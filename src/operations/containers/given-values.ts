import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { builtInVariables, forcedVariables, parseAssignments } from '../../bundle/values.ts'
import { ForerunError } from '../../errors.ts'
import { readAtMost } from '../../host/read-at-most.ts'
import type { DeploymentInfo } from '../../store/deployment.ts'

/** What a user gave for the variables of an image. */
export interface GivenValues {
  /** Of `--set` and `--set-file`. */
  readonly assignments: ReadonlyMap<string, string>
  /** The names of those that came from files. */
  readonly secrets: readonly string[]
  /** Absolute paths of files that systemd hands to the service, by name. */
  readonly credentials: ReadonlyMap<string, string>
}

/**
 * Reads the words of `--set`, `--set-file` and `--set-credential`. One line break at the end of a file is left out.
 *
 * @throws ForerunError `variable` for a word that cannot be understood, a name that is given in two ways, and a file that
 * cannot be read, is no text, or is larger than a mebibyte.
 */
export function givenValues(words: {
  set?: readonly string[]
  setFile?: readonly string[]
  setCredential?: readonly string[]
}): GivenValues {
  const set = parseAssignments(words.set ?? [])
  const files = parseAssignments(words.setFile ?? [], '--set-file')
  const credentials = parseAssignments(words.setCredential ?? [], '--set-credential')
  const names = [...set.keys(), ...files.keys(), ...credentials.keys()]
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new ForerunError('variable', `The variable '${twice}' is given in two ways`, {
      hint: 'Give it with one of --set, --set-file and --set-credential.',
    })
  }
  return {
    assignments: new Map([...set, ...[...files].map(([name, path]) => [name, fileText(name, path)] as const)]),
    secrets: [...files.keys()],
    credentials: new Map([...credentials].map(([name, path]) => [name, existingFile(name, path)])),
  }
}

/** What an update goes by: what was given before, with what is given now over it. */
export interface UpdatedValues extends GivenValues {
  /** Of the deployment before: for variables that nobody gives a value, and the new image has no default for. */
  readonly earlier: ReadonlyMap<string, string>
}

/**
 * Deployments of older versions do not tell which values were given and which were defaults: then all count as given, as they did
 * for Project Atomic's tool.
 */
export function updatedValues({ values, forerun }: DeploymentInfo, given: GivenValues): UpdatedValues {
  const isDecided = (name: string): boolean => forcedVariables.includes(name) || builtInVariables.includes(name)
  const { set = Object.keys(values).filter((name) => !isDecided(name)) } = forerun
  const before = new Map(Object.entries(forerun.credentials ?? {}))
  const credentials = new Map([...before].filter(([name]) => !given.assignments.has(name)))
  for (const [name, path] of given.credentials) credentials.set(name, path)
  const assignments = new Map(
    set.flatMap((name) => (credentials.has(name) || values[name] === undefined ? [] : [[name, values[name]] as const])),
  )
  for (const [name, value] of given.assignments) assignments.set(name, value)
  const isSecret = (name: string): boolean => assignments.has(name) && !given.assignments.has(name)
  return {
    assignments,
    credentials,
    secrets: [...new Set([...(forerun.secrets ?? []).filter(isSecret), ...given.secrets])],
    earlier: new Map(Object.entries(values).filter(([name]) => !isDecided(name) && !before.has(name))),
  }
}

const largest = 1024 * 1024

function fileText(name: string, path: string): string {
  const text = utf8(name, path, readLimited(name, path))
  if (text.includes('\0')) throw unusable(name, path, 'it has a NUL byte')
  return text.replace(/\r?\n$/, '')
}

/** Also of a pipe. */
function readLimited(name: string, path: string): Buffer {
  const bytes = readAll(name, path)
  if (bytes.length > largest) throw unusable(name, path, 'it is larger than a mebibyte')
  return bytes
}

function readAll(name: string, path: string): Buffer {
  try {
    return readAtMost(path, largest + 1)
  } catch (cause) {
    throw unusable(name, path, (cause as Error).message, cause)
  }
}

function utf8(name: string, path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw unusable(name, path, 'it is not UTF-8 text', cause)
  }
}

function existingFile(name: string, path: string): string {
  const absolute = resolve(path)
  if (statSync(absolute, { throwIfNoEntry: false })?.isFile()) return absolute
  throw unusable(name, path, 'there is no such file')
}

function unusable(name: string, path: string, why: string, cause?: unknown): ForerunError {
  return new ForerunError('variable', `The file '${path}' cannot give '${name}': ${why}`, {
    hint: 'Name a file that holds the value and nothing else.',
    ...(cause === undefined ? {} : { cause }),
  })
}
