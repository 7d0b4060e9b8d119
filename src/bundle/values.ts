import { ForerunError } from '../errors.ts'
import type { Values } from './template.ts'
import { unitArgument, unitWord } from './unit-word.ts'

/** Forced variables that are whole command lines in systemd's syntax, or nothing. */
export const commandVariables: readonly string[] = ['EXEC_START', 'EXEC_STOP', 'EXEC_STARTPRE', 'EXEC_STOPPOST']

/** Variables that nobody may set, since the deployment itself decides them. */
export const forcedVariables: readonly string[] = [
  'DESTDIR',
  'NAME',
  ...commandVariables,
  'HOST_UID',
  'HOST_GID',
  'IMAGE_ID',
  'IMAGE_NAME',
]

/** Variables that always have a value, which `--set` and an image's defaults may replace. */
export const builtInVariables: readonly string[] = [
  'RUN_DIRECTORY',
  'STATE_DIRECTORY',
  'CONF_DIRECTORY',
  'PIDFILE',
  'UUID',
  'ALL_PROCESS_CAPABILITIES',
  'RUNTIME',
  'ATOMIC',
]

/**
 * Reads the words of `--set`, or of an `option` like it. A variable set twice has its last value.
 *
 * @throws ForerunError `variable` without `=`, for an impossible name, a forced variable or a value with a NUL.
 */
export function parseAssignments(words: readonly string[], option = '--set'): Values {
  const assignments = new Map<string, string>()
  for (const word of words) {
    const equals = word.indexOf('=')
    if (equals < 0)
      throw refused(
        `'${word}' sets no variable: it has no '='`,
        `Write ${option} VARIABLE=${option === '--set' ? 'VALUE' : 'FILE'}.`,
      )
    const name = word.slice(0, equals)
    if (!/^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name)) {
      throw refused(
        name === '' ? `'${word}' names no variable` : `'${name}' is not a name for a variable`,
        'A name has letters, digits and underscores, and does not begin with a digit.',
      )
    }
    if (forcedVariables.includes(name)) {
      throw refused(`The variable '${name}' cannot be set: forerun decides it itself`, `Leave out this ${option}.`)
    }
    if (word.includes('\0')) throw refused(`The value of '${name}' has a NUL byte`, 'Give a text.')
    assignments.set(name, word.slice(equals + 1))
  }
  return assignments
}

/** What values are made of. Paths are absolute, as they will be on the host. */
export interface Deployment {
  readonly name: string
  /** The deployment's directory, which holds config.json and rootfs. */
  readonly destination: string
  /** Id of the image: the digest of its configuration. */
  readonly imageId: string
  readonly imageName: string
  /** The OCI runtime. */
  readonly runtime: string
  /** The installing program. */
  readonly program: string
  /** Of this installation; kept by updates. */
  readonly uuid: string
  /** Owner of what is made on the host; default root. */
  readonly owner?: { readonly uid: number; readonly gid: number }
  /** Those that the host can give, as `grantableCapabilities` reads them. */
  readonly capabilities: readonly string[]
  /** Where `RUN_DIRECTORY` and the like are; default those of the system. */
  readonly places?: { readonly run: string; readonly state: string; readonly configuration: string }
}

/**
 * Every variable with its value: forced ones over `--set` over the image's defaults over built-in ones. A value is taken
 * literally; only PIDFILE's built-in value depends on others, RUN_DIRECTORY (however it was set) and NAME.
 *
 * @param options.detached the unit follows the container's process by its pid file (see `unitFollowsPidFile`).
 */
export function deploymentValues(
  deployment: Deployment,
  options: { assignments: Values; defaults: Values; detached: boolean },
): Values {
  const places = deployment.places ?? { run: '/run', state: '/var/lib', configuration: '/etc' }
  const values = new Map([
    ['RUN_DIRECTORY', places.run],
    ['STATE_DIRECTORY', places.state],
    ['CONF_DIRECTORY', places.configuration],
    ['UUID', deployment.uuid],
    ['ALL_PROCESS_CAPABILITIES', deployment.capabilities.map((name) => `"${name}"`).join(', ')],
    ['RUNTIME', deployment.runtime],
    ['ATOMIC', deployment.program],
    ...options.defaults,
    ...options.assignments,
  ])
  const pidFile = values.get('PIDFILE') ?? `${values.get('RUN_DIRECTORY')}/container-${deployment.name}.pid`
  values.set('PIDFILE', pidFile)
  const forced = { ...forcedValues(deployment), ...commands(deployment, options.detached ? pidFile : undefined) }
  for (const [name, value] of Object.entries(forced)) values.set(name, value)
  return values
}

/** Whether the unit's variables ask for a container that runs by itself, found again by its pid file. */
export function unitFollowsPidFile(variables: readonly string[]): boolean {
  return variables.includes('EXEC_STOPPOST') && variables.includes('PIDFILE')
}

function forcedValues({ name, destination, imageId, imageName, owner }: Deployment): Record<string, string> {
  return {
    DESTDIR: destination,
    NAME: name,
    HOST_UID: `${owner?.uid ?? 0}`,
    HOST_GID: `${owner?.gid ?? 0}`,
    IMAGE_ID: imageId,
    IMAGE_NAME: imageName,
  }
}

/** Command lines in systemd's syntax, since a unit is where they stand. The runtime finds the bundle in its working directory. */
function commands({ name, runtime }: Deployment, pidFile: string | undefined): Record<string, string> {
  const program = unitWord(runtime)
  const container = unitArgument(name)
  const start = pidFile === undefined ? '' : `--detach --pid-file ${unitArgument(pidFile)} `
  return {
    EXEC_START: `${program} run ${start}${container}`,
    EXEC_STOP: `${program} kill ${container}`,
    EXEC_STARTPRE: '',
    EXEC_STOPPOST: pidFile === undefined ? '' : `${program} delete --force ${container}`,
  }
}

function refused(message: string, hint: string): ForerunError {
  return new ForerunError('variable', message, { hint })
}
