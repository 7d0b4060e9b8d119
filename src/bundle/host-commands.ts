import { posix } from 'node:path'
import type { Privilege } from './privilege.ts'
import { type UnitSetting, unitValue } from './unit-file.ts'
import { firstWord } from './unit-word.ts'

/** For whom the commands of a unit are read. */
export interface UnitOwner {
  readonly name: string
  /** The deployment. */
  readonly folder: string
  /** Absolute path of the runtime. */
  readonly runtime: string
}

/**
 * The commands that a unit runs on the host, but for those by which the runtime starts, signals and deletes the unit's own
 * container.
 */
export function hostCommands(unit: readonly UnitSetting[], owner: UnitOwner): Privilege[] {
  return [...commandKeys].flatMap(([key, when]) =>
    inForce(unit, key)
      .filter((command) => !isOwnRuntime(command, { unit, owner }))
      .map((command) => hostCommand(command, { key, when, unit })),
  )
}

/** systemd.service(5), "Options". */
const commandKeys: ReadonlyMap<string, string> = new Map([
  ['ExecCondition', 'before all else'],
  ['ExecStartPre', 'before the start'],
  ['ExecStart', 'at the start'],
  ['ExecStartPost', 'after the start'],
  ['ExecReload', 'at a reload'],
  ['ExecStop', 'to stop it'],
  ['ExecStopPost', 'after a stop'],
])

function hostCommand(
  command: string,
  { key, when, unit }: { key: string; when: string; unit: readonly UnitSetting[] },
): Privilege {
  const { prefixes, line } = splitCommand(command)
  const user = userOf(unit, { key, prefixes })
  const text = `runs ${line} on the host as ${user}, ${when} (${key}=)`
  return {
    kind: 'host-command',
    key: `${key} ${user} ${line}`,
    text,
    weight: user === 'root' && !signalsMainProcess(line) ? 'power' : 'ordinary',
  }
}

/** An empty value resets the list. */
function inForce(unit: readonly UnitSetting[], key: string): string[] {
  const settings = unit.filter((setting) => setting.section === 'Service' && setting.key === key)
  return settings.slice(settings.findLastIndex(({ value }) => value === '') + 1).map(({ value }) => value)
}

/** systemd.service(5), "Special executable prefixes". */
function splitCommand(command: string): { prefixes: string; line: string } {
  const [prefixes = ''] = /^["']?[-@:+!|]*/.exec(command) ?? []
  const quote = /^["']/.exec(prefixes)?.[0] ?? ''
  return { prefixes: prefixes.slice(quote.length), line: quote + command.slice(prefixes.length) }
}

/** Before version 254 names of users could not be set by specifiers; one that has some may be root. */
function userOf(unit: readonly UnitSetting[], { key, prefixes }: { key: string; prefixes: string }): string {
  const value = (name: string): string => unitValue(unit, 'Service', name) ?? ''
  const isYes = (name: string): boolean => /^(?:1|y|yes|t|true|on)$/i.test(value(name))
  if (/[+!]/.test(prefixes) || (isYes('PermissionsStartOnly') && key !== 'ExecStart')) return 'root'
  const user = value('User')
  if (user === '' && isYes('DynamicUser')) return 'dynamic'
  return user === '' || user === '0' || user.includes('%') ? 'root' : user
}

function signalsMainProcess(line: string): boolean {
  return /^\/(?:usr\/)?bin\/kill(?:\s+(?:-s\s+)?-?[A-Z0-9]+)?\s+\$\{?MAINPID\}?$/.test(line)
}

/** Exactly what is known to do that. Whatever else a runtime is told to do is told to the administrator. */
function isOwnRuntime(command: string, { unit, owner }: { unit: readonly UnitSetting[]; owner: UnitOwner }): boolean {
  if (otherPrograms.some((key) => unitValue(unit, 'Service', key) !== undefined)) return false
  const [program = '', ...words] = wordsOf(splitCommand(command).line)
  const path = posix.normalize(program.replaceAll('%%', '%'))
  if (path !== owner.runtime && path !== posix.basename(owner.runtime)) return false
  const folder = unitValue(unit, 'Service', 'WorkingDirectory')
  let hasBundle = folder !== undefined && posix.resolve('/', folder) === owner.folder
  const plain: string[] = []
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? ''
    const [, option, given] = /^(--pid-file|--bundle|-b)(?:=(.*))?$/.exec(word) ?? []
    if (option !== undefined) {
      const value = posix.resolve('/', given ?? words[++index] ?? '')
      const isPidFile = option === '--pid-file'
      if (isPidFile ? !/^\/(?:var\/)?run\//.test(value) : value !== owner.folder) return false
      hasBundle ||= !isPidFile
    } else if (!harmlessOption.test(word)) plain.push(word)
  }
  const [verb = '', name, signal] = plain
  if (name !== owner.name || plain.length > (verb === 'kill' ? 3 : 2)) return false
  if (signal !== undefined && !/^(?:(?:SIG)?[A-Z]{2,}[0-9+]*|[0-9]+)$/.test(signal)) return false
  return ['start', 'kill', 'delete'].includes(verb) || (['run', 'create'].includes(verb) && hasBundle)
}

/** By which a path leads to another program. */
const otherPrograms = [
  'BindPaths',
  'BindReadOnlyPaths',
  'ExecSearchPath',
  'ExtensionDirectories',
  'ExtensionImages',
  'MountImages',
  'RootDirectory',
  'RootImage',
  'TemporaryFileSystem',
]

/** What neither names a file nor makes the isolation weaker. */
const harmlessOption = /^(?:--all|-a|--detach|-d|--force|-f|--systemd-cgroup)$/

function wordsOf(line: string): string[] {
  const words: string[] = []
  for (let left = line.trim(); left !== ''; ) {
    const { word, rest } = firstWord(left)
    if (rest === left) return [...words, left]
    words.push(word)
    left = rest
  }
  return words
}
