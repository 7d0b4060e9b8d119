import type { ContainerRow } from '../../../src/operations/containers/list-containers.ts'
import type { UpdateResult } from '../../../src/operations/containers/update.ts'
import { broken, type Container, containers, readCommand, shortName } from './catalogue.ts'
import type { Moment } from './model.ts'
import type { Ended } from './process.ts'

/** What is wrong with how a command ended, a sentence each. @param ids of images, by `plain:v1`. */
export function faultsOf(ended: Ended, ids: ReadonlyMap<string, string>): string[] {
  return [...statusFaults(ended), ...waitFaults(ended), ...resultFaults(ended, ids)]
}

const expected = new Set([
  'container-not-found',
  'image-in-use',
  'image-not-found',
  'interrupted',
  'locked',
  'mount',
  'no-deployment',
  'systemd',
  'usage',
])

/** The stable code of a command's error; undefined where it does not print JSON. */
export function errorCode({ stdout }: Ended): string | undefined {
  try {
    return (JSON.parse(stdout) as { error?: { code: string } }).error?.code
  } catch {
    return undefined
  }
}

function statusFaults(ended: Ended): string[] {
  const { command, status, stdout, stderr, signalled } = ended
  if (/internal error/.test(stderr)) return ['internal error']
  if (status === 0 || (signalled && [130, 137, 143].includes(status))) return []
  // Its own status, or 137 and the runtime's words when the service goes meanwhile.
  if (command.label === 'run') return [1, 137, 143, 255].includes(status) ? [] : [`status ${status}`]
  const code = errorCode(ended)
  // What was to be mounted is taken for an image when it is gone.
  if (command.label === 'update --all' && code === undefined) return failuresOf(ended).filter(isUnexpected)
  if (command.label === 'mount NAME' && code === 'registry') return []
  if (code === undefined || !expected.has(code)) return [`status ${status}, code ${code}: ${stdout}`]
  if (code === 'systemd' && isOfGoodImage(ended)) return ['a service that works did not come up']
  return []
}

/** Of one of all: it has been uninstalled since, or the lock is another's. */
function isUnexpected(code: string): boolean {
  return code !== 'container-not-found' && code !== 'locked'
}

function failuresOf({ stdout }: Ended): string[] {
  const results = [JSON.parse(stdout) as UpdateResult | UpdateResult[]].flat()
  return results.flatMap((result) => (result.outcome === 'failed' ? result.code : []))
}

function isOfGoodImage({ command: { effect } }: Ended): boolean {
  return (
    (effect?.verb === 'install' || effect?.verb === 'update') &&
    effect.image !== undefined &&
    !effect.image.endsWith(broken)
  )
}

/** Waiting says who holds the lock, for what, and since when. */
function waitFaults({ stderr }: Ended): string[] {
  const told = stderr.split('\n').filter((line) => line.startsWith('Waiting '))
  return told.filter((line) => !waiting.test(line)).map((line) => `waits with the words '${line}'`)
}

const waiting =
  /^Waiting (?:for 'forerun [^']+' \(process \d+\), which began \d+ s ago|until '[^']+' has been judged)\.$/

function resultFaults(ended: Ended, ids: ReadonlyMap<string, string>): string[] {
  const { command, status, stdout } = ended
  if (status !== 0 || !command.words.includes('--json')) return []
  if (command.label === 'containers list')
    return (JSON.parse(stdout) as ContainerRow[]).flatMap((row) => rowFaults(row, ids))
  if (command.label === 'containers info') {
    const row = JSON.parse(stdout) as ContainerRow & { folder: string; values: Record<string, string> }
    const told = readCommand(row.command)
    const faults = rowFaults(row, ids)
    if (told !== undefined && told.folder !== row.folder) faults.push(`${row.folder} has the command of ${told.folder}`)
    if (told !== undefined && told.word !== row.values.WORD) faults.push(`${told.word} is not ${row.values.WORD}`)
    return faults
  }
  // Nothing newer comes into the registry.
  if (command.label === 'update' || command.label === 'update --all') {
    const results = [JSON.parse(stdout) as UpdateResult | UpdateResult[]].flat()
    return results
      .filter(({ outcome }) => outcome !== 'current' && outcome !== 'failed')
      .map((result) => `not current: ${JSON.stringify(result)}`)
  }
  return []
}

/** A container is told whole or not at all. */
export function rowFaults(row: ContainerRow, ids: ReadonlyMap<string, string>): string[] {
  const told = readCommand(row.command)
  const image = shortName(row.image)
  const faults: string[] = []
  const must = (holds: boolean, fault: string): void => {
    if (!holds) faults.push(`${row.container}: ${fault}: ${JSON.stringify(row)}`)
  }
  must(containers.includes(row.container as Container), 'a name that nobody gave')
  must(row.state !== 'damaged' && row.state !== 'no service', `a state that it cannot be in`)
  must(told !== undefined, 'a command that is not whole')
  must(row.imageId === ids.get(image), 'an id that is not that of its image')
  if (told !== undefined) {
    must(told.image === image, 'a command of another image')
    must(new RegExp(`/${row.container}\\.[01]$`).test(told.folder), 'a command of another folder')
    must(row.other?.folder !== told.folder, 'a deployment that is in use, as the other one')
  }
  if (row.other !== null) must(row.other.imageId === ids.get(shortName(row.other.image)), 'an id of another image')
  return faults
}

/** When containers changed by a command, or may have. */
export function momentsOf(ended: Ended): Moment[] {
  const { command, records, status } = ended
  const told = `${command.words.filter((word) => !word.startsWith('--')).join(' ')} (${command.label}, status ${status})`
  const moments: Moment[] = records.flatMap(({ time, msg }) => {
    const container = /^'\w+ (\w+)' is taken back: \S+ waited for the next boot$/.exec(msg)?.[1] as
      | Container
      | undefined
    return container === undefined ? [] : [{ time, container, effect: 'superseded', isCertain: true, told }]
  })
  const { container, effect } = command
  if (container === undefined || effect === undefined) return moments
  const last = (name: string): number | undefined => records.findLast(({ msg }) => msg === name)?.time
  const isForBoot = effect.verb === 'update' && effect.atBoot
  const time = last('committed') ?? (isForBoot ? last('on-trial') : undefined)
  const own = isForBoot ? (last('on-trial') ?? time) : time
  if (status === 137) moments.push({ time: own ?? ended.ended, container, effect, isCertain: false, told })
  else if (status === 0 && hasChanged(ended) && own !== undefined) {
    moments.push({ time: own, container, effect, isCertain: true, told })
  }
  return moments
}

/** Whether a success changed something. A rollback that gave up what waited for the boot tells that by itself. */
function hasChanged({ command, stdout, records }: Ended): boolean {
  const result = [JSON.parse(stdout) as { outcome?: string }].flat()[0]
  if (command.effect?.verb === 'install') return result?.outcome === 'installed'
  if (command.effect?.verb === 'update') return result?.outcome === 'updated'
  return records.some(({ msg }) => msg === 'committed')
}
