import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { modernSpelling } from './older-spellings.ts'
import { type RuntimeConfiguration, runtimeSchema } from './runtime-schema.ts'
import { describeIssue } from './schema-issue.ts'
import { readJsonFile } from './template-json.ts'

/**
 * Takes parsed JSON for a configuration of the OCI runtime specification 1.2. Older spellings come out modern;
 * properties that the specification does not know stay.
 *
 * @throws ForerunError `configuration` with the JSON path of the first fault, what is there and what is wanted; also for
 * a root other than `rootfs`.
 */
export function parseRuntimeConfiguration(json: unknown, file: string): RuntimeConfiguration {
  const result = v.safeParse(runtimeSchema, modernSpelling(json), { abortEarly: true })
  if (!result.success) throw broken(file, describeIssue(result.issues[0]))
  const { root } = result.output
  if (root.path.replace(/^\.\//, '').replace(/\/+$/, '') !== 'rootfs') {
    throw broken(
      file,
      `root.path is ${JSON.stringify(root.path)}, wanted "rootfs"`,
      "The image's files lie at rootfs beside the configuration: set root.path to rootfs.",
    )
  }
  return { ...result.output, root: { ...root, path: 'rootfs' } }
}

/**
 * Reads the text of a `config.json` that forerun wrote: its root may be a tree elsewhere.
 *
 * @throws ForerunError `configuration` for one that was damaged since.
 */
export function readRenderedConfiguration(text: string, file: string): RuntimeConfiguration {
  const json = readJsonFile(text, file, { code: 'configuration' })
  const result = v.safeParse(runtimeSchema, modernSpelling(json), { abortEarly: true })
  if (result.success) return result.output
  throw broken(file, describeIssue(result.issues[0]), 'Put it back from a backup, or install the container anew.')
}

/**
 * Puts the container into a control group of its own below its unit's, so that systemd sees, limits and kills it with the
 * unit. A path that the configuration carries itself is replaced: the unit has only its own group delegated to it, and
 * in any other the container would escape the unit.
 */
export function placeInUnitCgroup(configuration: RuntimeConfiguration, cgroup: string): RuntimeConfiguration {
  const cgroupsPath = containerCgroup(cgroup)
  return { ...configuration, linux: { ...configuration.linux, cgroupsPath } }
}

/** The group of the container, below that of its unit. */
export function containerCgroup(unit: string): string {
  return `${unit}/payload`
}

/**
 * Turns `process.terminal` off: a service has no terminal, and a runtime asked for one would wait for somebody to take
 * its other end. Its standard streams are the journal's instead.
 */
export function withoutTerminal(configuration: RuntimeConfiguration): RuntimeConfiguration {
  const { consoleSize: _, ...process } = configuration.process
  return { ...configuration, process: { ...process, terminal: false } }
}

/** Names of all capabilities that a process of the container may have, in whichever set they are. */
export function capabilitiesOf({ process }: RuntimeConfiguration): Set<string> {
  const { bounding = [], effective = [], inheritable = [], permitted = [], ambient = [] } = process.capabilities ?? {}
  return new Set([...bounding, ...effective, ...inheritable, ...permitted, ...ambient])
}

/** Whether a namespace is made for the container, and not the host's or that of another process. */
export function hasOwnNamespace({ linux }: RuntimeConfiguration, wanted: string): boolean {
  return linux?.namespaces?.some(({ type, path }) => type === wanted && path === undefined) ?? false
}

function broken(
  file: string,
  problem: string,
  hint = 'Mend the file in the image and build the image anew.',
): ForerunError {
  return new ForerunError('configuration', `The configuration '${file}' has a fault: ${problem}`, { hint })
}
