import { posix } from 'node:path'
import { ForerunError } from '../errors.ts'
import { isBindMount } from './bind-mount.ts'
import type { Mount } from './runtime-schema.ts'
import { readWord, unitPath } from './unit-word.ts'

/** A directory of the host, with what it is to have when it is made. */
export interface HostDirectory {
  /** Absolute. */
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/**
 * tmpfiles.d(5) lines that make the sources of bind mounts that are absent, as directories, since what a mount expects
 * there cannot be known. Sources that are relative belong to the bundle.
 *
 * @throws ForerunError `configuration` for a path that no line can hold.
 */
export function sourceLines(
  mounts: readonly Mount[],
  options: { exists: (path: string) => boolean; owner: { uid: number; gid: number } },
): string[] {
  const sources = mounts.filter(isBindMount).flatMap(({ source }) => (source?.startsWith('/') ? [source] : []))
  const absent = [...new Set(sources.map((source) => posix.resolve(source)))].filter((path) => !options.exists(path))
  return absent.sort().map((path) => directoryLine({ path, mode: 0o700, ...options.owner }))
}

/**
 * A line that makes a directory. One that is there keeps its owner and mode (`:`), since a service may
 * have changed those of its data, and every boot applies the line again.
 */
export function directoryLine({ path, mode, uid, gid }: HostDirectory): string {
  return `d ${field(path)} :${mode.toString(8).padStart(4, '0')} :${uid} :${gid} - -`
}

/**
 * The paths that the lines of a tmpfiles.d(5) text create, in their order, for knowing what to undo.
 *
 * @param specifiers values by letter (`t`: `/run`) beside those of the system's directories, which are known. A line
 * with a specifier that is not known is left out.
 */
export function tmpfilesPaths(text: string, specifiers: Readonly<Record<string, string>> = {}): string[] {
  return tmpfilesEntries(text, specifiers).map(({ path }) => path)
}

/** As `tmpfilesPaths`, with what is made there; a link counts as a file, since where it leads may not be there yet. */
export function tmpfilesEntries(
  text: string,
  specifiers: Readonly<Record<string, string>> = {},
): { path: string; kind: 'directory' | 'file' }[] {
  const known = new Map(Object.entries({ ...systemDirectories, ...specifiers }))
  return text.split('\n').flatMap((line) => {
    const [, type, path] = lineStart.exec(line) ?? []
    if (type === undefined || path === undefined || !creating.includes(type)) return []
    const expanded = expand(readWord(path), known)
    if (expanded === undefined) return []
    return { path: posix.resolve('/', expanded), kind: directories.includes(type) ? 'directory' : 'file' }
  })
}

/** A type with its modifiers and a path, in which quotes may begin and end anywhere. */
const lineStart = /^\s*"?([a-zA-Z])[-+!=~^$?]*"?\s+((?:\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'\\])+)/

/** Types of lines that make something that was not there. */
const creating = 'fFdDvqQpLcbC'

/** Of these, those that make a directory; what is copied mostly is one. */
const directories = 'dDvqQC'

const systemDirectories = {
  t: '/run',
  S: '/var/lib',
  C: '/var/cache',
  L: '/var/log',
  T: '/tmp',
  V: '/var/tmp',
  h: '/root',
}

function field(path: string): string {
  if (/[\n\r\0]/.test(path)) {
    throw new ForerunError(
      'configuration',
      `The path ${JSON.stringify(path)} has a line break, which tmpfiles.d cannot hold`,
      {
        hint: 'Check the mounts and volumes of the image, and the values of its variables.',
      },
    )
  }
  return unitPath(path)
}

function expand(path: string, specifiers: ReadonlyMap<string, string>): string | undefined {
  let complete = true
  const expanded = path.replace(/%(.)/g, (_match, letter: string) => {
    if (letter === '%') return '%'
    const value = specifiers.get(letter)
    if (value === undefined) complete = false
    return value ?? ''
  })
  return complete ? expanded : undefined
}
