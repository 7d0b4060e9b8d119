import { join, posix } from 'node:path'
import { adoptedDropInTemplate, dropInTemplate } from '../../templates/drop-in.template.ts'
import { credentialLines } from './credentials.ts'
import { mountUnitName } from './mount-unit.ts'
import { type NotifyWay, notifySettings, notifyWay } from './notify-socket.ts'
import type { Mount } from './runtime-schema.ts'
import { parseTemplate, renderLineTemplate, type Values } from './template.ts'
import { requireCgroup } from './unit-cgroup.ts'
import { parseUnit, type UnitSetting, unitValue } from './unit-file.ts'
import { firstWord, unitArgument, unitPath, unitWord } from './unit-word.ts'

/**
 * The text of `NAME.service.d/10-forerun.conf`. Its `ExecStartPre=` comes after those of the unit itself.
 *
 * @param service.destination the deployment's directory; a path of the host.
 * @param service.runtime absolute path of the OCI runtime.
 * @param service.cgroup the unit's control group.
 * @param service.pidFile where a runtime that leaves writes the container's process.
 * @param service.notifyWay from `unitNotifyWay`.
 * @param service.rootfs a tree elsewhere that is its root.
 * @param service.mountUnit the unit that mounts its root.
 * @param service.credentials paths of files by name.
 * @param unitText the rendered unit.
 */
export function renderDropIn(
  service: {
    name: string
    destination: string
    runtime: string
    cgroup: string
    pidFile: string
    notifyWay: NotifyWay
    rootfs?: string
    mountUnit?: string
    credentials?: Values
  },
  unitText: string,
): string {
  const unit = parseUnit(unitText)
  const deleteState = deleteStaleState(service)
  const base = renderBase(dropInTemplate, service)
  const identifier =
    unitValue(unit, 'Service', 'SyslogIdentifier') === undefined ? [['SyslogIdentifier', service.name]] : []
  const lines = [
    ['ExecStartPre', requireCgroup(service.cgroup)],
    ...identifier,
    ...notifySettings(service.notifyWay, { ...service, deleteState }),
    ...startCommands(unit, service),
  ]
  const credentials = credentialLines(service.credentials ?? new Map())
  return base + credentials + lines.map(([key, value]) => `${key}=${value}\n`).join('') + needsMount(service)
}

/** As `renderDropIn`, of a container that was taken over: only what its start needs. */
export function renderAdoptedDropIn(service: StartedService): string {
  return renderBase(adoptedDropInTemplate, service)
}

/** What of a service every drop-in is about. */
interface StartedService {
  readonly name: string
  readonly destination: string
  readonly runtime: string
  readonly rootfs?: string
}

function renderBase(template: string, service: StartedService): string {
  const folders = [service.destination, ...(service.rootfs === undefined ? [] : [service.rootfs])]
  return renderLineTemplate(
    parseTemplate(template, 'drop-in.template'),
    new Map([
      ['NAME', service.name],
      ['FOLDERS', folders.map(unitPath).join(' ')],
      ['DELETE_STALE_STATE', deleteStaleState(service)],
    ]),
  )
}

/** The dash: there is nothing to delete after an orderly stop. */
function deleteStaleState({ name, runtime }: StartedService): string {
  return `${unitWord(`-${runtime}`)} delete --force ${unitArgument(name)}`
}

/** How the container of a unit tells systemd of itself. @param mounts of its configuration, as the image has them. */
export function unitNotifyWay(
  unit: readonly UnitSetting[],
  mounts: readonly Mount[],
  { name, runtime }: { name: string; runtime: string },
): NotifyWay {
  const commands = commandsInOwnGroup(unit, runtime).map(([, command = '']) => command)
  if (commands.length === 0) return undefined
  return notifyWay(unit, mounts, {
    isPlain: commands.some((command) => command.endsWith(`${unitWord(runtime)} run ${name}`)),
  })
}

/** The commands that start the container: where the runtime is to leave, by creating it first. */
function startCommands(
  unit: readonly UnitSetting[],
  service: { name: string; runtime: string; pidFile: string; notifyWay: NotifyWay },
): string[][] {
  const { name, runtime, pidFile } = service
  const commands = commandsInOwnGroup(unit, runtime)
  if (service.notifyWay !== 'runtime') return commands
  const ending = `${unitWord(runtime)} run ${name}`
  return commands.map(([key = '', command = '']) => {
    if (!command.endsWith(ending)) return [key, command]
    const script = /^[-+!]*:/.test(command) ? createAndStart : createAndStart.replaceAll('$', '$$$$')
    const words = [`/bin/sh -c '${script}'`, unitWord(runtime), unitArgument(pidFile), name]
    return [key, command.slice(0, -ending.length) + words.join(' ')]
  })
}

const createAndStart = '"$0" create --pid-file "$1" "$2" && exec "$0" start "$2"'

/** Without its root the service is stopped; a section may come twice. */
/**
 * The root of the other deployment is mounted, too, while there is a unit for that: a host may lose power between the moments in
 * which unit and drop-in are switched, and the next boot then starts the one version or the other, with its root.
 */
function needsMount({ mountUnit, destination }: { mountUnit?: string; destination: string }): string {
  if (mountUnit === undefined) return ''
  const other = mountUnitName(join(otherSlot(destination), 'rootfs'))
  return `\n[Unit]\nBindsTo=${mountUnit}\nWants=${other}\nAfter=${mountUnit} ${other}\n`
}

function otherSlot(destination: string): string {
  return destination.replace(/[01]$/, (slot) => (slot === '0' ? '1' : '0'))
}

/**
 * Starts the runtime in a group of its own below the unit's, beside that of the container. In the unit's group itself it
 * would keep the kernel from handing controllers down (cgroups(7), "no internal processes"): the container's group
 * becomes a threaded one, which systemd cannot kill, or the start fails where the configuration has limits. systemd 254
 * has `DelegateSubgroup=` for it; this works with older ones, too. The shell is replaced by the runtime.
 */
function commandsInOwnGroup(unit: readonly UnitSetting[], runtime: string): string[][] {
  const commands = inForce(unit.filter(({ section, key }) => section === 'Service' && key === 'ExecStart'))
  if (!commands.some((command) => startsRuntime(command, runtime))) return []
  const moved = commands.map((command) => (startsRuntime(command, runtime) ? inOwnGroup(command, runtime) : command))
  return ['', ...moved].map((command) => ['ExecStart', command])
}

/** An empty value resets the list. */
function inForce(settings: readonly UnitSetting[]): string[] {
  const reset = settings.findLastIndex(({ value }) => value === '')
  return settings.slice(reset + 1).map(({ value }) => value)
}

/** systemd reads prefixes after quotes, so that they may stand within them. A name without a path is looked up. */
function splitCommand(command: string): { prefixes: string; program: string; rest: string } {
  const { word, rest } = firstWord(command)
  const [prefixes = ''] = /^[-@:+!]*/.exec(word) ?? []
  return { prefixes, program: word.slice(prefixes.length).replaceAll('%%', '%'), rest }
}

function startsRuntime(command: string, runtime: string): boolean {
  const { program, rest } = splitCommand(command)
  return rest !== '' && (posix.normalize(program) === runtime || program === posix.basename(runtime))
}

/** After `:` systemd leaves dollars as they are. After `@` comes a name for the process, which is left out. */
function inOwnGroup(command: string, runtime: string): string {
  const { prefixes, rest } = splitCommand(command)
  const keepsDollars = prefixes.includes(':')
  const script = keepsDollars ? enterGroup : enterGroup.replaceAll('$', '$$$$')
  const program = keepsDollars ? unitWord(runtime) : unitArgument(runtime)
  const words = prefixes.includes('@') ? firstWord(rest).rest : rest
  return `${prefixes.replaceAll('@', '')}/bin/sh -c '${script}' sh ${program} ${words}`
}

/** A shell's script that starts its words in a group of their own. Where control groups are of version 1, nothing has to be moved. */
export const enterGroup = [
  'g=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/runtime',
  'if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mkdir -p "$g" && echo $$ >"$g/cgroup.procs"; fi',
  'exec "$@"',
].join('; ')
